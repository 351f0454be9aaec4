// What the app must not be able to change: the allowlist, which it may only read, and the ledger's anchors, which nobody may change
// once they are written.

@description('Where it is.')
param location string

@description('Tags of every resource.')
param tags object

@description('Its name: 3 to 24 lower-case letters and digits.')
@minLength(3)
@maxLength(24)
param name string

@description('The replication.')
@allowed(['Standard_GRS', 'Standard_GZRS', 'Standard_RAGRS', 'Standard_RAGZRS', 'Standard_ZRS'])
param sku string = 'Standard_GRS'

@description('Whether it is reached by private endpoints alone.')
param isPrivate bool

@description('The container of the allowlist.')
param allowlistContainerName string

@description('The container of the ledger\'s anchors.')
param anchorContainerName string

@description('For how many days no anchor can be changed or deleted.')
@minValue(1)
@maxValue(146000)
param immutableDays int

@description('Whether the immutability policy is locked. It can never be unlocked again, and the account not deleted until the last anchor may be.')
param isLocked bool

@description('The object id of the app\'s identity.')
param principalId string

@description('The Log Analytics workspace that diagnostic logs go to.')
param workspaceId string

// Storage Blob Data Reader
var blobDataReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
// Storage Blob Data Contributor; what it may delete in the anchors' container, the immutability policy forbids.
var blobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  // checkov:skip=CKV_AZURE_35:isPrivate denies the public network; without it there are no keys, and every call wants a token
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 90
    }
    deleteRetentionPolicy: {
      enabled: true
      days: 90
    }
    isVersioningEnabled: true
  }
}

resource allowlist 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: allowlistContainerName
  properties: {
    publicAccess: 'None'
  }
}

resource anchors 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: anchorContainerName
  properties: {
    publicAccess: 'None'
  }
}

// The lock itself is an action, not a property: docs/deploy.md has the command; here is the policy that it locks.
resource immutability 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2023-05-01' = if (!isLocked) {
  parent: anchors
  name: 'default'
  properties: {
    allowProtectedAppendWrites: false
    immutabilityPeriodSinceCreationInDays: immutableDays
  }
}

resource readsAllowlist 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: allowlist
  name: guid(allowlist.id, principalId, blobDataReader)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataReader)
  }
}

resource writesAnchors 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: anchors
  name: guid(anchors.id, principalId, blobDataContributor)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobDataContributor)
  }
}

resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobs
  name: 'linkguard'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageRead'
        enabled: true
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

output blobEndpoint string = account.properties.primaryEndpoints.blob
output id string = account.id
output name string = account.name
