# Adds up the sizes that collect.sh wrote. A pipe would hide a failure of its first command, so none is used.
set -eu
total=0
while read -r size name; do
    total=$((total + size))
    echo "$name: $size bytes"
done <work/sizes.txt
echo "total: $total bytes" >work/total.txt
cat work/total.txt
