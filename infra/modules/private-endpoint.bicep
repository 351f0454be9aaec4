// One private endpoint, and the private DNS zone that gives its address to whoever asks in the network.

@description('Where it is.')
param location string

@description('Tags of every resource.')
param tags object

@description('Its name.')
param name string

@description('The resource that it leads to.')
param targetId string

@description('Which of that resource\'s services: blob, queue, table or vault.')
param groupId string

@description('The private DNS zone, in this resource group.')
param zoneName string

@description('The subnet that the endpoint gets its address in.')
param subnetId string

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' existing = {
  name: zoneName
}

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: name
        properties: {
          groupIds: [groupId]
          privateLinkServiceId: targetId
        }
      }
    ]
  }
}

resource addresses 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: groupId
        properties: {
          privateDnsZoneId: zone.id
        }
      }
    ]
  }
}
