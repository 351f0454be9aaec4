// What Azure Monitor watches: Linkguard's own structured records, through one function that is saved in the workspace, so that the
// records' form is written down once (infra/queries/LinkguardRecords.kql).

@description('Where the rules are.')
param location string

@description('Tags of every resource.')
param tags object

@description('The Log Analytics workspace that the records are in.')
param workspaceId string

@description('Name of the action group.')
param actionGroupName string

@description('Who is sent e-mail; empty is nobody.')
param email string

// severity: 0 critical, 1 error, 2 warning, as Azure Monitor counts. frequency and window: ISO 8601. docs/operate.md has a section a rule.
var rules = [
  {
    name: 'impostor-suspected'
    severity: 0
    frequency: 'PT5M'
    window: 'PT10M'
    query: loadTextContent('../queries/impostor-suspected.kql')
  }
  {
    name: 'unapproved-connection'
    severity: 2
    frequency: 'PT15M'
    window: 'PT30M'
    query: loadTextContent('../queries/unapproved-connection.kql')
  }
  {
    name: 'approval-in-doubt'
    severity: 0
    frequency: 'PT5M'
    window: 'PT10M'
    query: loadTextContent('../queries/approval-in-doubt.kql')
  }
  {
    name: 'approval-unconfirmed'
    severity: 2
    frequency: 'PT15M'
    window: 'PT30M'
    query: loadTextContent('../queries/approval-unconfirmed.kql')
  }
  {
    name: 'public-traffic'
    severity: 0
    frequency: 'PT15M'
    window: 'PT30M'
    query: loadTextContent('../queries/public-traffic.kql')
  }
  {
    name: 'sweep-incomplete'
    severity: 1
    frequency: 'PT15M'
    window: 'PT30M'
    query: loadTextContent('../queries/sweep-incomplete.kql')
  }
  {
    name: 'sweep-late'
    severity: 1
    frequency: 'PT15M'
    window: 'PT1H'
    query: loadTextContent('../queries/sweep-late.kql')
  }
  {
    name: 'allowlist-unreadable'
    severity: 0
    frequency: 'PT5M'
    window: 'PT15M'
    query: loadTextContent('../queries/allowlist-unreadable.kql')
  }
  {
    name: 'poison-messages'
    severity: 1
    frequency: 'PT15M'
    window: 'PT30M'
    query: loadTextContent('../queries/poison-messages.kql')
  }
  {
    name: 'ledger-broken'
    severity: 0
    frequency: 'PT5M'
    window: 'PT15M'
    query: loadTextContent('../queries/ledger-broken.kql')
  }
]
var receivers = [
  {
    name: 'e-mail'
    emailAddress: email
    useCommonAlertSchema: true
  }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: last(split(workspaceId, '/'))
}

resource records 'Microsoft.OperationalInsights/workspaces/savedSearches@2023-09-01' = {
  parent: workspace
  name: 'LinkguardRecords'
  properties: {
    category: 'Linkguard'
    displayName: 'LinkguardRecords'
    functionAlias: 'LinkguardRecords'
    query: loadTextContent('../queries/LinkguardRecords.kql')
    version: 2
  }
}

resource actions 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'linkguard'
    emailReceivers: take(receivers, empty(email) ? 0 : 1)
  }
}

resource queryRules 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = [
  for rule in rules: {
    name: 'linkguard-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: 'Linkguard: ${rule.name}'
      description: 'What it means and what to do: docs/operate.md, section ${rule.name}.'
      enabled: true
      // Azure may not know the saved function yet at this moment; the queries are analysed by this project's tests.
      skipQueryValidation: true
      severity: rule.severity
      scopes: [workspaceId]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      autoMitigate: true
      actions: {
        actionGroups: [actions.id]
      }
    }
    dependsOn: [records]
  }
]
