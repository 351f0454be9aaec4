#!/bin/sh
# Leads the resource events of each watched subscription to Linkguard. azd runs it after each deployment of the code; running it again
# changes nothing. By hand, for one more subscription:
#   WATCHED_SUBSCRIPTIONS=<id> sh infra/subscribe.sh      with the environment of `azd env get-values`
#
# EXISTING_TOPICS names system topics that subscriptions have already, since Azure allows one each:
#   EXISTING_TOPICS='<subscription id>=<resource group>/<topic name> ...'
set -eu
: "${APP_ID:?run it by azd, or with the values that azd env get-values prints}"
: "${HOST_STORAGE_ID:?}" "${DEAD_LETTER_CONTAINER:?}" "${AZURE_LOCATION:?}" "${WATCHED_SUBSCRIPTIONS:?}"
here=$(dirname "$0")

for subscription in $(echo "$WATCHED_SUBSCRIPTIONS" | tr ',' ' '); do
    topic=
    for pair in ${EXISTING_TOPICS:-}; do
        if [ "${pair%%=*}" = "$subscription" ]; then topic=${pair#*=}; fi
    done
    echo "events of $subscription"
    az deployment sub create --only-show-errors --output none \
        --subscription "$subscription" --location "$AZURE_LOCATION" --name linkguard-events \
        --template-file "$here/events.bicep" \
        --parameters location="$AZURE_LOCATION" appId="$APP_ID" storageId="$HOST_STORAGE_ID" \
        deadLetterContainerName="$DEAD_LETTER_CONTAINER" existingTopic="$topic"
done
