// A network of the app's own, and in it a private endpoint for each service of its storage and vault.

@description('Where it is.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the virtual network.')
param networkName string

@description('What the names of the network security groups begin with.')
param securityGroupPrefix string

@description('What the names of the private endpoints begin with.')
param endpointPrefix string

@description('The network\'s address range.')
param addressPrefix string

@description('The part of it that the app\'s calls leave through: /27 or larger.')
param appSubnetPrefix string

@description('The part of it that the private endpoints are in.')
param endpointSubnetPrefix string

@description('The host storage account.')
param hostStorageId string

@description('The records account.')
param recordsStorageId string

@description('The vault.')
param vaultId string

var blobZone = 'privatelink.blob.${environment().suffixes.storage}'
var queueZone = 'privatelink.queue.${environment().suffixes.storage}'
var tableZone = 'privatelink.table.${environment().suffixes.storage}'
var vaultZone = 'privatelink${replace(environment().suffixes.keyvaultDns, '.vault.', '.vaultcore.')}'
var zoneNames = [blobZone, queueZone, tableZone, vaultZone]
var endpoints = [
  {
    name: 'host-blob'
    groupId: 'blob'
    targetId: hostStorageId
    zoneName: blobZone
  }
  {
    name: 'host-queue'
    groupId: 'queue'
    targetId: hostStorageId
    zoneName: queueZone
  }
  {
    name: 'host-table'
    groupId: 'table'
    targetId: hostStorageId
    zoneName: tableZone
  }
  {
    name: 'records-blob'
    groupId: 'blob'
    targetId: recordsStorageId
    zoneName: blobZone
  }
  {
    name: 'vault'
    groupId: 'vault'
    targetId: vaultId
    zoneName: vaultZone
  }
]

resource appRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${securityGroupPrefix}-app'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'nothing-comes-in'
        properties: {
          access: 'Deny'
          description: 'Only the app itself opens connections here.'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
          direction: 'Inbound'
          priority: 4096
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
        }
      }
    ]
  }
}

resource endpointRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${securityGroupPrefix}-endpoints'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'https-from-here-and-from-joined-networks'
        properties: {
          access: 'Allow'
          description: 'The app, and whoever uploads the allowlist or verifies the anchors; every call wants a token.'
          destinationAddressPrefix: '*'
          destinationPortRange: '443'
          direction: 'Inbound'
          priority: 100
          protocol: 'Tcp'
          sourceAddressPrefix: 'VirtualNetwork'
          sourcePortRange: '*'
        }
      }
      {
        name: 'nothing-else'
        properties: {
          access: 'Deny'
          description: 'Nobody else has business here.'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
          direction: 'Inbound'
          priority: 4096
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
        }
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: networkName
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [addressPrefix]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: appSubnetPrefix
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
          networkSecurityGroup: {
            id: appRules.id
          }
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointSubnetPrefix
          networkSecurityGroup: {
            id: endpointRules.id
          }
          privateEndpointNetworkPolicies: 'NetworkSecurityGroupEnabled'
        }
      }
    ]
  }
}

module zones 'private-zone.bicep' = [
  for zoneName in zoneNames: {
    name: 'zone-${uniqueString(zoneName)}'
    params: {
      name: zoneName
      networkId: network.id
      tags: tags
    }
  }
]

module privateEndpoints 'private-endpoint.bicep' = [
  for endpoint in endpoints: {
    name: 'endpoint-${endpoint.name}'
    params: {
      groupId: endpoint.groupId
      location: location
      name: '${endpointPrefix}-${endpoint.name}'
      subnetId: network.properties.subnets[1].id
      tags: tags
      targetId: endpoint.targetId
      zoneName: endpoint.zoneName
    }
    dependsOn: [zones]
  }
]

output appSubnetId string = network.properties.subnets[0].id
