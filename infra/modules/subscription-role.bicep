// One role on one subscription.

targetScope = 'subscription'

@description('The name of the role definition: a GUID, the same in every subscription where the role can be assigned.')
param roleName string

@description('The object id of the identity that gets it.')
param principalId string

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, principalId, roleName)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleName)
  }
}
