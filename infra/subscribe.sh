#!/bin/sh
# Leads the resource events of each watched subscription to Linkguard. azd runs it after each deployment of the code; running it again
# changes nothing. By hand, for further subscriptions:
#   WATCHED_SUBSCRIPTIONS='<id>,<id>' sh infra/subscribe.sh      with the environment of `azd env get-values`
#
# EXISTING_TOPICS names system topics that subscriptions have already, since Azure allows one each:
#   EXISTING_TOPICS='<subscription id>=<resource group>/<topic name> ...'
# ATTEMPTS (5) and ATTEMPT_SECONDS (30): Azure may know the function only some time after its code is there.
# DEAD_LETTERS (identity service none): the ways in which dead letters are written, in the order in which they are tried. Azure may not
# give an identity to a subscription's topic; then Event Grid's own is tried, then none, and this says so (docs/deploy.md, Dead letters).
set -eu
: "${APP_ID:?run it by azd, or with the values that azd env get-values prints}"
: "${HOST_STORAGE_ID:?run it by azd}" "${DEAD_LETTER_CONTAINER:?run it by azd}" "${AZURE_LOCATION:?run it by azd}"
: "${WATCHED_SUBSCRIPTIONS:?name the subscriptions}"
here=$(dirname "$0")
# Git Bash on Windows would take a resource id, which begins with a slash, for one of its own paths.
export MSYS_NO_PATHCONV=1
attempts=${ATTEMPTS:-5}

lower() { printf '%s' "$1" | tr '[:upper:]' '[:lower:]'; }

# Azure keeps a deployment's name in the region where it was first used: each region has a name of its own.
deployment=linkguard-events-$(lower "$AZURE_LOCATION" | tr -d ' ')

# subscribe SUBSCRIPTION TOPIC DEAD_LETTERS
subscribe() {
    az deployment sub create --only-show-errors --output none \
        --subscription "$1" --location "$AZURE_LOCATION" --name "$deployment" \
        --template-file "$here/events.bicep" \
        --parameters location="$AZURE_LOCATION" appId="$APP_ID" storageId="$HOST_STORAGE_ID" \
        deadLetterContainerName="$DEAD_LETTER_CONTAINER" existingTopic="$2" deadLetters="$3"
}

# The first way as often as is allowed, for it is the one that is wanted; then each other once. Prints the way that worked.
try() {
    left=$attempts
    for way in ${DEAD_LETTERS:-identity service none}; do
        until subscribe "$1" "$2" "$way" >&2; do
            left=$((left - 1))
            if [ "$left" -le 0 ]; then continue 2; fi
            sleep "${ATTEMPT_SECONDS:-30}"
        done
        echo "$way"
        return 0
    done
    return 1
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
    if ! way=$(try "$subscription" "$topic"); then
        echo "events of $subscription could not be subscribed to; the sweep works without them" >&2
        exit 1
    fi
    case $way in
    service) echo "events of $subscription: dead letters are written by Event Grid itself, the topic got no identity" >&2 ;;
    none) echo "events of $subscription: no dead letters; what cannot be delivered, the next sweep makes up for" >&2 ;;
    esac
done
