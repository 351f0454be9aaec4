// The two roles. Observing needs the reader alone, which can change nothing; approving needs the other as well.

targetScope = 'subscription'

@description('Tells the roles of several deployments in one tenant apart.')
param suffix string

@description('Where the roles can be assigned: subscriptions, resource groups, or one management group, as resource ids.')
param assignableScopes array

@description('Whether the approver may also delete a connection: how an approval is taken back where Azure refuses to reject it.')
param canDelete bool

@description('How the connections of slots are named: not at all, by their own actions, or by a pattern. docs/deploy.md, Slots.')
@allowed(['none', 'named', 'pattern'])
param slotActions string

var readActions = [
  'Microsoft.SignalRService/SignalR/read'
  'Microsoft.SignalRService/SignalR/sharedPrivateLinkResources/read'
  'Microsoft.Web/serverfarms/read'
  'Microsoft.Web/sites/privateEndpointConnections/read'
  'Microsoft.Web/sites/read'
  'Microsoft.Web/sites/slots/read'
]
var writeActions = ['Microsoft.Web/sites/privateEndpointConnections/write']
var deleteActions = ['Microsoft.Web/sites/privateEndpointConnections/delete']
// Azure refuses a role as a whole that names an action which its catalogue does not have, and the published catalogue has none for the
// connections of slots. A pattern must fit one action that it has: these fit the site's own.
var slotReadActions = {
  none: []
  named: ['Microsoft.Web/sites/slots/privateEndpointConnections/read']
  pattern: ['Microsoft.Web/sites/*privateEndpointConnections/read']
}
var slotWriteActions = {
  none: []
  named: ['Microsoft.Web/sites/slots/privateEndpointConnections/write']
  pattern: ['Microsoft.Web/sites/*privateEndpointConnections/write']
}
var slotDeleteActions = {
  none: []
  named: ['Microsoft.Web/sites/slots/privateEndpointConnections/delete']
  pattern: ['Microsoft.Web/sites/*privateEndpointConnections/delete']
}
var everyDelete = concat(deleteActions, slotDeleteActions[slotActions])

resource reader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'linkguard-reader', suffix)
  properties: {
    roleName: 'Linkguard Reader (${suffix})'
    description: 'Reads SignalR services, sites, their plans and their private endpoint connections. Changes nothing.'
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [
      {
        actions: concat(readActions, slotReadActions[slotActions])
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

resource approver 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'linkguard-approver', suffix)
  properties: {
    roleName: 'Linkguard Approver (${suffix})'
    description: 'Approves and rejects private endpoint connections of sites and their slots. To be given beside Linkguard Reader.'
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [
      {
        actions: concat(writeActions, slotWriteActions[slotActions], take(everyDelete, canDelete ? length(everyDelete) : 0))
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

output approverName string = approver.name
output readerName string = reader.name
