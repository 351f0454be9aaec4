// The workbook: links, decisions, traffic and health, from what Linkguard writes to Log Analytics.

@description('Where it is.')
param location string

@description('Its tags.')
param tags object

@description('The workspace that it queries.')
param workspaceId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspaceId, 'linkguard')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    category: 'workbook'
    displayName: 'Linkguard'
    serializedData: replace(loadTextContent('../workbook.json'), '__WORKSPACE_ID__', workspaceId)
    sourceId: workspaceId
    version: '1.0'
  }
}

output id string = workbook.id
