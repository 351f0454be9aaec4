// The identity that the app runs as. User-assigned, so that its grants outlive the app.

@description('Where it is.')
param location string

@description('Its name.')
param name string

@description('Tags of every resource.')
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
  tags: tags
}

output clientId string = identity.properties.clientId
output id string = identity.id
output principalId string = identity.properties.principalId
