// Switches on what the traffic audit reads of one upstream: its App Service HTTP logs, into the workspace of your choice. Deploy it into
// the site's resource group: docs/upstream-logging.md. Function apps on Flex Consumption have no HTTP logs.

@description('The web app or function app.')
param siteName string

@description('One of its slots; empty is the site itself.')
param slotName string = ''

@description('The resource id of the Log Analytics workspace.')
param workspaceId string

var logs = [
  {
    category: 'AppServiceHTTPLogs'
    enabled: true
  }
]

resource site 'Microsoft.Web/sites@2024-04-01' existing = {
  name: siteName
}

resource slot 'Microsoft.Web/sites/slots@2024-04-01' existing = {
  parent: site
  name: empty(slotName) ? 'none' : slotName
}

resource siteLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (empty(slotName)) {
  scope: site
  name: 'linkguard-audit'
  properties: {
    workspaceId: workspaceId
    logs: logs
  }
}

resource slotLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(slotName)) {
  scope: slot
  name: 'linkguard-audit'
  properties: {
    workspaceId: workspaceId
    logs: logs
  }
}
