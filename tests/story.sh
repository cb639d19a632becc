#!/usr/bin/env bash
# The whole story of a user, with curl alone: sign up, read the mail, prove the address, sign in with the mailed code,
# ask who one is, reset the password, sign in with the new one, find the old one refused, sign out.
#
#   tests/story.sh http://localhost:8080                   mails are read at /api/dev/mailbox
#   tests/story.sh http://localhost:8080 /path/to/spool    mails are read from <n>.eml files of an SMTP server
set -euo pipefail

base=${1:?usage: story.sh BASE_URL [SPOOL_FOLDER]}
spool=${2:-}
email="story-$$-$RANDOM@example.test"
password='mK9#vL2$qP-fjord'
new_password='purple-lantern-47-glacier'

fail() { echo "story: $*" >&2; exit 1; }

# call METHOD PATH STATUS [JSON] [curl options…]: prints the body, fails unless the status is the expected one.
call() {
  local method=$1 path=$2 expected=$3 body=${4:-}
  shift $(($# < 4 ? $# : 4))
  local answer status
  answer=$(curl --silent --show-error --max-time 30 --request "$method" --write-out '\n%{http_code}' \
    --header 'Content-Type: application/json' ${body:+--data "$body"} "$@" "$base$path")
  status=${answer##*$'\n'}
  [ "$status" = "$expected" ] || fail "$method $path answered $status, expected $expected: ${answer%$'\n'*}"
  printf '%s' "${answer%$'\n'*}"
}

# member NAME: the first string member with this name in the JSON on standard input.
member() { grep -oE "\"$1\":\"[^\"]*\"" | head -n 1 | sed -E "s/^\"$1\":\"(.*)\"\$/\1/"; }

# mail SUBJECT: the newest mail with this subject to our address, as text; waits for it.
mail() {
  local text=
  for _ in $(seq 1 300); do
    if [ -n "$spool" ]; then
      local file
      file=$(grep -lisE "^To: .*$email" "$spool"/*.eml 2>/dev/null | xargs -r grep -liE "^Subject: $1" | sort -V | tail -n 1 || true)
      [ -z "$file" ] || text=$(tr -d '\r' < "$file" | sed -e ':a' -e '/=$/{N;s/=\n//;ba' -e '}' -e 's/=3D/=/g')
    else
      text=$(curl --silent --max-time 10 --get --data-urlencode "to=$email" "$base/api/dev/mailbox" |
        sed 's/{"to"/\n{"to"/g' | grep "\"subject\":\"$1" | head -n 1 || true)
    fi
    [ -z "$text" ] || { printf '%s' "$text"; return 0; }
    sleep 0.1
  done
  fail "no mail \"$1\" to $email"
}

code_in() { grep -oE '\b[0-9]{6}\b' | head -n 1; }
token_in() { grep -oE 'token=[A-Za-z0-9_-]+' | head -n 1 | cut -d= -f2; }

# sign_in PASSWORD: prints a session token; the second step is the mailed code.
sign_in() {
  local login code
  login=$(call POST /api/login 200 "{\"email\":\"$email\",\"password\":\"$1\",\"session_transport\":\"token\"}")
  [ "$(member status <<< "$login")" = email_mfa_required ] || fail "unexpected login: $login"
  local id token
  id=$(member login_id <<< "$login")
  token=$(member login_token <<< "$login")
  code=$(newest_code)
  call POST /api/login/email_mfa 200 "{\"login_id\":\"$id\",\"login_token\":\"$token\",\"code\":\"$code\"}" | member token
}

# The code of the newest login mail; each login sends one more than there were.
logins=0
newest_code() {
  logins=$((logins + 1))
  for _ in $(seq 1 300); do
    if [ "$(count_mails 'Your code to sign in')" -ge "$logins" ]; then
      mail 'Your code to sign in' | code_in
      return 0
    fi
    sleep 0.1
  done
  fail "login mail number $logins did not arrive"
}

count_mails() {
  if [ -n "$spool" ]; then
    (grep -lisE "^To: .*$email" "$spool"/*.eml 2>/dev/null | xargs -r grep -liE "^Subject: $1" || true) | wc -l
  else
    (curl --silent --max-time 10 --get --data-urlencode "to=$email" "$base/api/dev/mailbox" |
      grep -o "\"subject\":\"$1" || true) | wc -l
  fi
}

call GET /health/ready 200 > /dev/null
echo "story: $email signs up"
call POST /api/signup 202 "{\"email\":\"$email\",\"password\":\"$password\",\"first_name\":\"Stella\"}" > /dev/null
code=$(mail 'Confirm your e-mail address' | code_in)
call POST /api/email_verification/confirm 200 "{\"email\":\"$email\",\"code\":\"$code\"}" | grep -q login_required

echo 'story: signs in with the mailed code'
session=$(sign_in "$password")
me=$(call GET /api/users/@me 200 '' --header "Authorization: Bearer $session")
[ "$(member email <<< "$me")" = "$email" ] || fail "not who one is: $me"

echo 'story: resets the password'
call POST /api/reset 204 "{\"email\":\"$email\"}" > /dev/null
token=$(mail 'Reset your password' | token_in)
call POST /api/reset/validate 200 "{\"token\":\"$token\"}" > /dev/null
call POST /api/reset/complete 200 "{\"token\":\"$token\",\"password\":\"$new_password\"}" > /dev/null
call POST /api/reset/complete 400 "{\"token\":\"$token\",\"password\":\"$new_password\"}" > /dev/null
call GET /api/users/@me 401 '' --header "Authorization: Bearer $session" > /dev/null
mail 'Your password was changed' > /dev/null

echo 'story: signs in with the new password, the old one is refused'
call POST /api/login 401 "{\"email\":\"$email\",\"password\":\"$password\"}" > /dev/null
logins=1
session=$(sign_in "$new_password")
call GET /api/users/@me 200 '' --header "Authorization: Bearer $session" > /dev/null
call POST /api/logout 204 '' --header "Authorization: Bearer $session" > /dev/null
call GET /api/users/@me 401 '' --header "Authorization: Bearer $session" > /dev/null
echo 'story: done'
