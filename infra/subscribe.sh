#!/bin/sh
# Leads the resource events of each watched subscription to Linkguard. azd runs it after each deployment of the code; running it again
# changes nothing. By hand, for further subscriptions:
#   WATCHED_SUBSCRIPTIONS='<id>,<id>' sh infra/subscribe.sh      with the environment of `azd env get-values`
#
# EXISTING_TOPICS names system topics that subscriptions have already, since Azure allows one each:
#   EXISTING_TOPICS='<subscription id>=<resource group>/<topic name> ...'
# ATTEMPTS (5) and ATTEMPT_SECONDS (30): Azure may know the function only some time after its code is there.
# DEAD_LETTERS=no does without them from the start. They need a topic with an identity, which not every Azure may give to a
# subscription's topic; where it does not, the events are subscribed to without them, and this says so.
set -eu
: "${APP_ID:?run it by azd, or with the values that azd env get-values prints}"
: "${HOST_STORAGE_ID:?run it by azd}" "${DEAD_LETTER_CONTAINER:?run it by azd}" "${AZURE_LOCATION:?run it by azd}"
: "${WATCHED_SUBSCRIPTIONS:?name the subscriptions}"
here=$(dirname "$0")
attempts=${ATTEMPTS:-5}

lower() { printf '%s' "$1" | tr '[:upper:]' '[:lower:]'; }

# subscribe SUBSCRIPTION TOPIC KEEP_DEAD_LETTERS
subscribe() {
    az deployment sub create --only-show-errors --output none \
        --subscription "$1" --location "$AZURE_LOCATION" --name linkguard-events \
        --template-file "$here/events.bicep" \
        --parameters location="$AZURE_LOCATION" appId="$APP_ID" storageId="$HOST_STORAGE_ID" \
        deadLetterContainerName="$DEAD_LETTER_CONTAINER" existingTopic="$2" keepDeadLetters="$3"
}

# The same, as often as is allowed.
try() {
    attempt=1
    until subscribe "$@"; do
        if [ "$attempt" -ge "$attempts" ]; then return 1; fi
        attempt=$((attempt + 1))
        sleep "${ATTEMPT_SECONDS:-30}"
    done
}

for pair in ${EXISTING_TOPICS:-}; do
    case $pair in
    *=*/*) ;;
    *)
        echo "EXISTING_TOPICS: $pair is not <subscription id>=<resource group>/<topic name>" >&2
        exit 2
        ;;
    esac
done

for subscription in $(printf '%s' "$WATCHED_SUBSCRIPTIONS" | tr ',' ' '); do
    topic=
    for pair in ${EXISTING_TOPICS:-}; do
        if [ "$(lower "${pair%%=*}")" = "$(lower "$subscription")" ]; then topic=${pair#*=}; fi
    done
    echo "events of $subscription"
    if [ "${DEAD_LETTERS:-yes}" = yes ] && try "$subscription" "$topic" true; then continue; fi
    if try "$subscription" "$topic" false; then
        echo "events of $subscription: subscribed to without dead letters; what Event Grid cannot deliver, the next sweep makes up for" >&2
        continue
    fi
    echo "events of $subscription could not be subscribed to; the sweep works without them" >&2
    exit 1
done
