// The subscription's own system topic: what Azure Resource Manager tells about its resources. One that is there already is left as it is.

@description('Its name.')
param name string

@description('Its tags.')
param tags object

@description('Whether it is there already.')
param isThere bool

@description('Whether it has an identity, by which it writes dead letters.')
param hasIdentity bool

resource made 'Microsoft.EventGrid/systemTopics@2025-02-15' = if (!isThere) {
  name: name
  location: 'global'
  tags: tags
  identity: {
    type: hasIdentity ? 'SystemAssigned' : 'None'
  }
  properties: {
    source: subscription().id
    topicType: 'Microsoft.Resources.Subscriptions'
  }
}

resource found 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = if (isThere) {
  name: name
}

output principalId string = !hasIdentity ? '' : isThere ? found.identity.principalId : made.identity.principalId
