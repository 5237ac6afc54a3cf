# Says where the report would go. A shell reads inputs as variables, and settings line by line: each value has a line of its own.
set -eu
setting() {
    sed -n "s/^ *\"$1\": \"\(.*\)\",\{0,1\}\$/\1/p" "$RUNNER_SETTINGS"
}
server=$(setting server)
folder=$(setting folder)
if [ -n "${RUNNER_PARAM_API_TOKEN-}" ]; then
    echo "$(wc -l <"$folder/report.txt") lines go to $server with the token $RUNNER_PARAM_API_TOKEN"
else
    echo "no api_token: nothing goes to $server"
fi
