@echo off
rem Lists the files of this project with their sizes.
setlocal
if not exist work mkdir work
if exist work\sizes.txt del work\sizes.txt
for %%f in (*.cmd *.json) do echo %%~zf %%f>>work\sizes.txt
if not exist work\sizes.txt (
    echo no files found 1>&2
    exit /b 1
)
echo sizes written to work\sizes.txt
