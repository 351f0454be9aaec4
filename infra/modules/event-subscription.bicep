// The event subscription: successful writes and deletes of what Linkguard handles, and nothing else.

@description('Its name: another for each deployment of Linkguard, which may share the topic.')
param name string

@description('The system topic.')
param topicName string

@description('The resource id of the function that takes the events.')
param functionId string

@description('The resource id of the storage account for events that cannot be delivered.')
param storageId string

@description('The container there.')
param deadLetterContainerName string

@description('As whom events that cannot be delivered are written there: as the topic itself, as Event Grid, or not at all.')
@allowed(['identity', 'service', 'none'])
param deadLetters string

var destination = {
  endpointType: 'StorageBlob'
  properties: {
    resourceId: storageId
    blobContainerName: deadLetterContainerName
  }
}
var byIdentity = {
  identity: {
    type: 'SystemAssigned'
  }
  deadLetterDestination: destination
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' existing = {
  name: topicName
}

resource events 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: name
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    destination: {
      endpointType: 'AzureFunction'
      properties: {
        resourceId: functionId
        maxEventsPerBatch: 1
        preferredBatchSizeInKilobytes: 64
      }
    }
    filter: {
      includedEventTypes: [
        'Microsoft.Resources.ResourceDeleteSuccess'
        'Microsoft.Resources.ResourceWriteSuccess'
      ]
      enableAdvancedFilteringOnArrays: false
      advancedFilters: [
        {
          operatorType: 'StringIn'
          key: 'data.operationName'
          values: loadJsonContent('../operations.json')
        }
      ]
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
    deadLetterDestination: deadLetters == 'service' ? destination : null
    deadLetterWithResourceIdentity: deadLetters == 'identity' ? byIdentity : null
  }
}

output id string = events.id
