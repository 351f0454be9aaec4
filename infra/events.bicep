// Resource events of one watched subscription, led to Linkguard's function. Deployed once for each watched subscription, into that
// subscription, after the app's code: an event subscription wants the function to be there. infra/subscribe.sh does it.

targetScope = 'subscription'

@description('Where the resource group is; the system topic itself is global.')
param location string

@description('The resource id of Linkguard\'s function app.')
param appId string

@description('The resource id of Linkguard\'s host storage account, where events go that cannot be delivered.')
param storageId string

@description('The container there.')
param deadLetterContainerName string

@description('A system topic of this subscription that is there already, by its resource group and name: Azure allows one. Empty makes one.')
param existingTopic string = ''

@description('As whom events that cannot be delivered are written there: as the topic itself, which needs an identity, as Event Grid, or not at all. docs/deploy.md, Dead letters.')
@allowed(['identity', 'service', 'none'])
param deadLetters string = 'identity'

var abbreviations = loadJsonContent('abbreviations.json')
var tags = {
  application: 'linkguard'
}
var token = toLower(uniqueString(subscription().id, appId))
var existingGroup = empty(existingTopic) ? '' : split(existingTopic, '/')[0]
var topicName = empty(existingTopic) ? '${abbreviations.eventGridSystemTopic}linkguard-${token}' : split(existingTopic, '/')[1]

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = if (empty(existingTopic)) {
  name: '${abbreviations.resourceGroup}linkguard-events'
  location: location
  tags: tags
}

module topic 'modules/system-topic.bicep' = {
  scope: resourceGroup(empty(existingTopic) ? '${abbreviations.resourceGroup}linkguard-events' : existingGroup)
  name: 'linkguard-topic'
  params: {
    hasIdentity: deadLetters == 'identity'
    isThere: !empty(existingTopic)
    name: topicName
    tags: tags
  }
  dependsOn: [group]
}

// The topic writes dead letters as itself: the account takes no keys.
module writesDeadLetters 'modules/dead-letter-writer.bicep' = if (deadLetters == 'identity') {
  scope: resourceGroup(split(storageId, '/')[2], split(storageId, '/')[4])
  name: 'linkguard-dead-letters-${token}'
  params: {
    accountName: last(split(storageId, '/'))
    containerName: deadLetterContainerName
    principalId: topic.outputs.principalId
  }
}

module events 'modules/event-subscription.bicep' = {
  scope: resourceGroup(empty(existingTopic) ? '${abbreviations.resourceGroup}linkguard-events' : existingGroup)
  name: 'linkguard-event-subscription'
  params: {
    deadLetterContainerName: deadLetterContainerName
    deadLetters: deadLetters
    name: 'linkguard-${token}'
    functionId: '${appId}/functions/on_resource_write'
    storageId: storageId
    topicName: topicName
  }
  dependsOn: [topic, writesDeadLetters]
}

output EVENT_SUBSCRIPTION_ID string = events.outputs.id
