@echo off
rem Adds up the sizes that collect.cmd wrote.
setlocal enabledelayedexpansion
if not exist work\sizes.txt (
    echo work\sizes.txt is missing: run collect.cmd first 1>&2
    exit /b 1
)
set total=0
for /f "tokens=1,2" %%a in (work\sizes.txt) do (
    set /a total=!total! + %%a
    echo %%b: %%a bytes
)
echo total: %total% bytes>work\total.txt
type work\total.txt
exit /b 0
