// Linkguard in one subscription, watching one or many. `azd up` deploys it; docs/deploy.md says how.

targetScope = 'subscription'

@description('Names the deployment: part of every resource\'s name.')
@minLength(1)
@maxLength(32)
param environmentName string

@description('Where everything is.')
@minLength(1)
param location string

@description('Whether Linkguard only decides and records, or also approves. To approve, its identity needs the approver role too.')
@allowed(['observe', 'enforce'])
param mode string = 'observe'

@description('The ids of the subscriptions to watch, separated by commas; empty is this one.')
param watchedSubscriptions string = ''

@description('Where the two roles can be assigned, as resource ids, separated by commas: subscriptions, resource groups, one management group. Empty is the watched subscriptions.')
param roleScopes string = ''

@description('Whether the reader role is assigned on each watched subscription. Not so where somebody else assigns roles.')
param assignReader bool = true

@description('Whether the approver role has the right to delete connections, for taking back what Azure refuses to reject.')
param approverCanDelete bool = true

@description('How the two roles name the connections of deployment slots, which Azure\'s published catalogue of actions lacks: docs/deploy.md, Slots.')
@allowed(['none', 'named', 'pattern'])
param slotActions string = 'none'

@description('Who is sent e-mail by the alert rules; empty is nobody.')
param alertEmail string = ''

@description('Whether the app\'s own storage and vault are reached by private endpoints alone.')
param isPrivate bool = false

@description('The address range of the app\'s network, where it has one of its own.')
param addressPrefix string = '10.77.0.0/24'

@description('The part of it that the app\'s calls leave through: /27 or larger.')
param appSubnetPrefix string = '10.77.0.0/26'

@description('The part of it that the private endpoints are in.')
param endpointSubnetPrefix string = '10.77.0.64/26'

@description('For how many days no anchor of the ledger can be changed or deleted.')
@minValue(1)
@maxValue(146000)
param immutableDays int = 365

@description('True once the anchors\' immutability policy is locked (docs/deploy.md): it is left alone from then on.')
param lockAnchors bool = false

@description('The container of the ledger\'s anchors. Another one after the ledger was lost: docs/disaster.md.')
param anchorContainerName string = 'ledger-anchors'

@description('How long logs are kept, days.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 90

@description('Settings in place of those in settings.json.')
param settings object = {}

var abbreviations = loadJsonContent('abbreviations.json')
var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = {
  'azd-env-name': environmentName
  application: 'linkguard'
}
var watched = split(empty(watchedSubscriptions) ? subscription().subscriptionId : replace(watchedSubscriptions, ' ', ''), ',')
var watchedScopes = [for id in watched: '/subscriptions/${id}']
var assignableScopes = empty(roleScopes) ? watchedScopes : split(replace(roleScopes, ' ', ''), ',')
var readable = take(watched, assignReader ? length(watched) : 0)
var clouds = {
  AzureCloud: 'public'
  AzureUSGovernment: 'usgov'
  AzureChinaCloud: 'china'
}
var appName = '${abbreviations.functionApp}linkguard-${token}'
var queueNames = ['linkguard-reconcile', 'linkguard-reconcile-poison']
var tableNames = ['linkguardledger', 'linkguardstate']
var packageContainerName = 'app-package'
var deadLetterContainerName = 'dead-letters'
var allowlistContainerName = 'allowlist'

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: '${abbreviations.resourceGroup}linkguard-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  scope: group
  name: 'identity'
  params: {
    location: location
    name: '${abbreviations.identity}linkguard-${token}'
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  name: 'monitoring'
  params: {
    componentName: '${abbreviations.appInsights}linkguard-${token}'
    location: location
    principalId: identity.outputs.principalId
    retentionInDays: logRetentionDays
    tags: tags
    workspaceName: '${abbreviations.logAnalytics}linkguard-${token}'
  }
}

module hostStorage 'modules/host-storage.bicep' = {
  scope: group
  name: 'host-storage'
  params: {
    deadLetterContainerName: deadLetterContainerName
    isPrivate: isPrivate
    location: location
    name: '${abbreviations.storage}lghost${token}'
    packageContainerName: packageContainerName
    principalId: identity.outputs.principalId
    queueNames: queueNames
    tableNames: tableNames
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module recordsStorage 'modules/records-storage.bicep' = {
  scope: group
  name: 'records-storage'
  params: {
    allowlistContainerName: allowlistContainerName
    anchorContainerName: anchorContainerName
    immutableDays: immutableDays
    isLocked: lockAnchors
    isPrivate: isPrivate
    location: location
    name: '${abbreviations.storage}lgrec${token}'
    principalId: identity.outputs.principalId
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'modules/vault.bicep' = {
  scope: group
  name: 'vault'
  params: {
    isPrivate: isPrivate
    location: location
    name: '${abbreviations.keyVault}lg-${token}'
    principalId: identity.outputs.principalId
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alertTopic 'modules/alert-topic.bicep' = {
  scope: group
  name: 'alert-topic'
  params: {
    location: location
    name: '${abbreviations.eventGridTopic}linkguard-${token}'
    principalId: identity.outputs.principalId
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module privateAccess 'modules/private-access.bicep' = if (isPrivate) {
  scope: group
  name: 'private-access'
  params: {
    addressPrefix: addressPrefix
    appSubnetPrefix: appSubnetPrefix
    endpointPrefix: '${abbreviations.privateEndpoint}linkguard-${token}'
    endpointSubnetPrefix: endpointSubnetPrefix
    hostStorageId: hostStorage.outputs.id
    location: location
    networkName: '${abbreviations.virtualNetwork}linkguard-${token}'
    recordsStorageId: recordsStorage.outputs.id
    securityGroupPrefix: '${abbreviations.networkSecurityGroup}linkguard-${token}'
    tags: tags
    vaultId: vault.outputs.id
  }
}

module app 'modules/app.bicep' = {
  scope: group
  name: 'app'
  params: {
    appSettings: union(loadJsonContent('settings.json'), settings, {
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
      APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
      AzureWebJobsStorage__blobServiceUri: hostStorage.outputs.blobEndpoint
      AzureWebJobsStorage__clientId: identity.outputs.clientId
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__queueServiceUri: hostStorage.outputs.queueEndpoint
      AzureWebJobsStorage__tableServiceUri: hostStorage.outputs.tableEndpoint
      LINKGUARD_ALERTS_EVENT_GRID: alertTopic.outputs.endpoint
      LINKGUARD_ALLOWLIST: '${recordsStorage.outputs.blobEndpoint}${allowlistContainerName}/allowlist.yaml'
      LINKGUARD_ANCHORS: '${recordsStorage.outputs.blobEndpoint}${anchorContainerName}'
      LINKGUARD_ARM_ENDPOINT: clouds[environment().name]
      LINKGUARD_CREDENTIAL: 'managed-identity'
      LINKGUARD_DEAD_LETTERS: deadLetterContainerName
      LINKGUARD_LEDGER: 'tables'
      LINKGUARD_LOGS_ENDPOINT: clouds[environment().name]
      LINKGUARD_MANAGED_IDENTITY_CLIENT_ID: identity.outputs.clientId
      LINKGUARD_MODE: mode
      LINKGUARD_SUBSCRIPTIONS: join(watched, ',')
    })
    identityId: identity.outputs.id
    location: location
    name: appName
    packageContainerUrl: '${hostStorage.outputs.blobEndpoint}${packageContainerName}'
    planName: '${abbreviations.plan}linkguard-${token}'
    subnetId: isPrivate ? privateAccess.outputs.appSubnetId : ''
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module roles 'modules/roles.bicep' = {
  name: 'linkguard-roles-${token}'
  params: {
    assignableScopes: assignableScopes
    canDelete: approverCanDelete
    slotActions: slotActions
    suffix: token
  }
}

module readers 'modules/subscription-role.bicep' = [
  for id in readable: {
    scope: subscription(id)
    name: 'linkguard-reader-${token}'
    params: {
      principalId: identity.outputs.principalId
      roleName: roles.outputs.readerName
    }
  }
]

module alerts 'modules/alerts.bicep' = {
  scope: group
  name: 'alerts'
  params: {
    actionGroupName: '${abbreviations.actionGroup}linkguard-${token}'
    email: alertEmail
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  name: 'workbook'
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

// What azd keeps in its environment, for the hook after the deployment and for the commands of docs/deploy.md.
output ALERT_TOPIC_ID string = alertTopic.outputs.id
output ALLOWLIST_CONTAINER string = allowlistContainerName
output ANCHORS_URL string = '${recordsStorage.outputs.blobEndpoint}${anchorContainerName}'
output APP_HOST_NAME string = app.outputs.hostName
output APP_ID string = app.outputs.id
output APP_NAME string = app.outputs.name
output APPROVER_ROLE string = roles.outputs.approverName
output DEAD_LETTER_CONTAINER string = deadLetterContainerName
output HOST_STORAGE_ID string = hostStorage.outputs.id
output HOST_STORAGE_NAME string = hostStorage.outputs.name
output IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
output READER_ROLE string = roles.outputs.readerName
output RECORDS_STORAGE_ID string = recordsStorage.outputs.id
output RECORDS_STORAGE_NAME string = recordsStorage.outputs.name
output RESOURCE_GROUP string = group.name
output VAULT_NAME string = vault.outputs.name
output WATCHED_SUBSCRIPTIONS string = join(watched, ',')
output WORKBOOK_ID string = workbook.outputs.id
output WORKSPACE_ID string = monitoring.outputs.workspaceId
