// A private DNS zone, linked to the app's network.

@description('Tags of every resource.')
param tags object

@description('Its name, such as privatelink.blob and the cloud\'s suffix.')
param name string

@description('The virtual network that asks it.')
param networkId string

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = {
  name: name
  location: 'global'
  tags: tags
}

resource asks 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = {
  parent: zone
  name: 'linkguard'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: networkId
    }
  }
}
