# Lists the files of this project with their sizes, the largest first.
set -eu
mkdir -p work
for file in *.sh *.json; do
    printf '%8d  %s\n' "$(wc -c <"$file")" "$file"
done | sort -rn >work/sizes.txt
echo "sizes of $(($(wc -l <work/sizes.txt))) files → work/sizes.txt"
