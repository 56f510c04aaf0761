# How a host is asked, by a new connection: at the end of `up`, by the status and by the doctor. They put it before their
# own script. Wants `seconds`, for an answer. Sets `ask`, the command: HOST PORT KIND. It prints what the host says, or
# fails and prints why that is nothing: "greeting" if KIND is that, for a server that speaks first; else "HTTP STATUS LINE",
# with the first line of what is said.
line_end='
'

# For bash, which needs no other program.
by_bash() {
  trap '' PIPE # of a server that has hung up
  exec 2>/dev/null 3<>"/dev/tcp/$1/$2" || { echo "no such name, or refused" && return 1; }
  if [ "$3" = greeting ]; then
    LC_ALL=C read -r -n 1 -t "$seconds" -u 3 answer && { ! refusal && echo "greeting"; return; }
  else
    printf 'GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$1" >&3
    LC_ALL=C read -r -n 256 -t "$seconds" -u 3 version answer rest && {
      answer="${answer%$'\r'} $(first_line)"
      printf 'HTTP %s' "${answer% }"
      return
    }
  fi
  # read tells by its status that it has waited in vain
  [ $? -gt 128 ] && echo "no answer in $seconds s" || echo "closed without answer"
  return 1
}

# Prints the first line behind the headers, or what came of it in as many seconds as the status had.
first_line() {
  local LC_ALL=C IFS= header= chunked= size= part= said=
  local sized='^0*([1-9a-fA-F][0-9a-fA-F]{0,6})[[:space:]]*(;.*)?$' # in quotes, for shells that only read this
  SECONDS=0 # bash counts on
  while next header && [ "${header%$'\r'}" ]; do
    case ${header,,} in transfer-encoding:*chunked*) chunked=yes ;; esac
  done
  [ "$chunked" ] || next said
  # A line may stand in several chunks, each between a line with its size and the end of a line.
  while [ "$chunked" ] && [ "${#said}" -lt 256 ] && [[ $said != *$'\n'* ]] && next size; do
    [[ $size =~ $sized ]] || break
    next part "$((16#${BASH_REMATCH[1]}))"
    said+=$part
    next header
  done
  said=${said%%$'\n'*} said=${said%$'\r'}
  printf '%s' "${said:0:256}"
}

# Reads in what is left of the time: VARIABLE [BYTES], else a line. What has come is there even if it fails.
next() {
  [ "$SECONDS" -lt "$seconds" ] || return 1
  local most=4096
  if [ $# = 1 ]; then
    read -r -n "$most" -t "$((seconds - SECONDS))" -u 3 "$1"
  else
    read -r -N "$(($2 < most ? $2 : most))" -t "$((seconds - SECONDS))" -u 3 "$1"
  fi
}

# Prints the error that MySQL and MariaDB send in place of a greeting; its first byte is read. bash leaves out NULs.
refusal() {
  local LC_ALL=C IFS=
  read -r -d $'\177' -n 6 -t 0.5 -u 3 more
  case $more in
  $'\377'* | ?$'\377'*)
    read -r -d $'\177' -t 0.5 -u 3 rest
    more=${more#*$'\377'}${rest-}
    more=${more:2}
    echo "refused by the server: ${more//[^[:print:]]/}"
    ;;
  *) return 1 ;;
  esac
}

# For any other shell.
by_curl() {
  if [ "$3" = greeting ]; then
    answer=$(curl -s --max-time "$seconds" --output - "telnet://$1:$2" </dev/null | head -c 1 | wc -c)
    [ "$answer" -gt 0 ] && echo "greeting" && return
    echo "no greeting within $seconds s" && return 1
  fi
  # So slowly that an answer without an end is none of hundreds of megabytes.
  answer=$(curl -s --max-time "$seconds" --limit-rate 64k --write-out '\n%{http_code}' "http://$1:$2/") ||
    { failed $? && return 1; }
  status=${answer##*"$line_end"}
  answer="$status $(printf '%s' "${answer%"$line_end"*}" | head -n 1 | head -c 256)"
  printf 'HTTP %s' "${answer% }"
}

# Says what curl's exit status means, in the words of by_bash.
failed() {
  case $1 in
  6 | 7) echo "no such name, or refused" ;;
  28) echo "no answer in $seconds s" ;;
  52 | 56) echo "closed without answer" ;;
  *) echo "curl fails: $1" ;;
  esac
}

if [ -n "${BASH_VERSION-}" ]; then
  ask=by_bash
elif command -v curl >/dev/null; then
  ask=by_curl
else
  echo "it has neither bash nor curl" >&2 && exit 1
fi
