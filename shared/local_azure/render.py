"""Resources as ARM's JSON, in the shapes of the specification's examples and of what was recorded from Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.local_azure.ids import PLAN, SIGNALR, SITE, SITE_CONNECTION, SLOT, SLOT_CONNECTION, Speller, fold

if TYPE_CHECKING:
    from datetime import datetime

    from shared.local_azure.knobs import Knobs
    from shared.local_azure.resources import Connection, JsonObject, Link, Plan, Resource, Service, Target

_TIERS: Final = {  # tier -> (SKU name, size, family) of its smallest size
    "Free": ("F1", "F1", "F"),
    "Shared": ("D1", "D1", "D"),
    "Dynamic": ("Y1", "Y1", "Y"),
    "Basic": ("B1", "B1", "B"),
    "Standard": ("S1", "S1", "S"),
    "PremiumV2": ("P1v2", "P1v2", "Pv2"),
    "PremiumV3": ("P1v3", "P1v3", "Pv3"),
    "PremiumV4": ("P1v4", "P1v4", "Pv4"),
    "IsolatedV2": ("I1v2", "I1v2", "Iv2"),
    "ElasticPremium": ("EP1", "EP1", "EP"),
    "FlexConsumption": ("FC1", "FC1", "FC"),
}
_SIGNALR_SIZES: Final = {"Free": "F1", "Standard": "S1", "Premium": "P1"}
_LOG_CATEGORIES: Final = ("ConnectivityLogs", "MessagingLogs")
_MISNAMED: Final = "privateEndpointConnections"


class Renderer:
    """Writes resources as they are at a moment, the way the knobs say."""

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self._speller = Speller()

    def id(self, arm_id: object) -> str:
        """An id, in the spelling that the knobs ask for."""
        return self._speller.spell(str(arm_id), self.knobs.spelling)

    def service(self, service: Service, when: datetime, *, item: bool = False) -> JsonObject:
        """A SignalR service."""
        size = _SIGNALR_SIZES.get(service.tier, "S1")
        features = {
            "ServiceMode": service.mode,
            "EnableConnectivityLogs": "True",
            "EnableMessagingLogs": "False",
            "EnableLiveTrace": "False",
        }
        properties: JsonObject = {
            "provisioningState": service.provisioning.at(when),
            "externalIP": "192.0.2.10",
            "hostName": f"{fold(service.id.name)}.service.signalr.net",
            "publicPort": 443,
            "serverPort": 443,
            "version": "1.0",
            "privateEndpointConnections": [],
            "tls": {"clientCertEnabled": False},
            "features": [{"flag": flag, "value": value, "properties": {}} for flag, value in features.items() if value],
            "liveTraceConfiguration": {"enabled": "false", "categories": []},
            "resourceLogConfiguration": {"categories": [{"name": name, "enabled": "true"} for name in _LOG_CATEGORIES]},
            "cors": {"allowedOrigins": ["*"]},
            "serverless": {"connectionTimeoutInSeconds": 30},
            "upstream": {"templates": service.upstream},
            "networkACLs": {
                "defaultAction": "Deny",
                "publicNetwork": {"allow": ["ServerConnection", "ClientConnection", "RESTAPI", "Trace"]},
                "privateEndpoints": [],
            },
            "publicNetworkAccess": service.public_network_access,
            "disableLocalAuth": False,
            "disableAadAuth": False,
        }
        if self.knobs.inline_links:
            properties["sharedPrivateLinkResources"] = [self.link(link, when, item=item) for link in service.links.all(when)]
        return {
            "sku": {"name": f"{service.tier}_{size}", "tier": service.tier, "size": size, "capacity": 1},
            "properties": properties,
            "kind": "SignalR",
            "systemData": _system_data(service.born, service.born),
            "location": service.location,
            "tags": service.tags,
            "id": self.id(service.id),
            **self._named(service, SIGNALR, item=item),
        }

    def link(self, link: Link, when: datetime, *, item: bool = False) -> JsonObject:
        """A shared private link resource."""
        kind = _MISNAMED if self.knobs.link_type_misnamed else "sharedPrivateLinkResources"
        body: JsonObject = {
            "properties": {
                "groupId": link.group_id,
                "privateLinkResourceId": self.id(link.resource_id),
                "provisioningState": link.provisioning.at(when),
                "requestMessage": link.message,
                "status": link.status.at(when),
            },
            "id": self.id(link.service.id.child(kind, link.id.name)),
            **self._named(link, f"{SIGNALR}/{kind}", item=item),
        }
        if self.knobs.link_system_data:
            body["systemData"] = _system_data(link.born, link.modified)
        return body

    def plan(self, plan: Plan) -> JsonObject:
        """An App Service plan."""
        name, size, family = _TIERS.get(plan.tier, (plan.tier, plan.tier, plan.tier))
        return {
            "id": self.id(plan.id),
            "name": plan.id.name,
            "type": PLAN,
            "kind": "app",
            "location": plan.location,
            "properties": {
                "geoRegion": plan.location,
                "isSpot": False,
                "maximumNumberOfWorkers": 20,
                "numberOfSites": 1,
                "numberOfWorkers": 1,
                "provisioningState": "Succeeded",
                "reserved": False,
                "status": "Ready",
                "targetWorkerCount": 0,
                "targetWorkerSizeId": 0,
            },
            "sku": {"name": name, "capacity": 1, "family": family, "size": size, "tier": plan.tier},
        }

    def target(self, target: Target, when: datetime, *, item: bool = False) -> JsonObject:
        """A site or a slot."""
        host = fold("-".join(name for _, name in target.id.path))
        is_slot = fold(target.id.type) == fold(SLOT)
        hosts = [f"{host}.azurewebsites.net", f"{host}.scm.azurewebsites.net"]
        custom = list(target.host_names)
        properties: JsonObject = {
            "availabilityState": "Normal",
            "clientAffinityEnabled": False,
            "clientAffinityProxyEnabled": False,
            "clientCertEnabled": False,
            "clientCertMode": "Required",
            "containerSize": 0,
            "customDomainVerificationId": "0" * 64,
            "dailyMemoryTimeQuota": 0,
            "defaultHostName": hosts[0],
            "enabled": True,
            "enabledHostNames": [*custom, *hosts],
            "hostNameSslStates": [
                {"name": name, "hostType": kind, "sslState": "Disabled"}
                for name, kind in zip(hosts, ("Standard", "Repository"), strict=True)
            ],
            "hostNames": [*custom, *hosts[:1]],
            "hostNamesDisabled": False,
            "httpsOnly": True,
            "hyperV": False,
            "isXenon": False,
            "keyVaultReferenceIdentity": "SystemAssigned",
            "lastModifiedTimeUtc": _time(target.born),
            "outboundIpAddresses": "192.0.2.20,192.0.2.21",
            "possibleOutboundIpAddresses": "192.0.2.20,192.0.2.21,192.0.2.22",
            "publicNetworkAccess": target.public_network_access,
            "redundancyMode": "None",
            "repositorySiteName": target.id.path[0][1],
            "reserved": False,
            "resourceGroup": target.id.group,
            "scmSiteAlsoStopped": False,
            "serverFarmId": self.id(target.plan.id),
            "siteConfig": {
                "alwaysOn": False,
                "http20Enabled": False,
                "linuxFxVersion": "",
                "minTlsVersion": "1.2",
                "numberOfWorkers": 1,
                "publicNetworkAccess": target.public_network_access,
            },
            "state": "Running",
            "storageAccountRequired": False,
            "usageState": "Normal",
        }
        if self.knobs.site_sku:
            properties["sku"] = target.plan.tier
        if self.knobs.inline_connections:
            properties["privateEndpointConnections"] = [
                self.connection(found, when, item=item) for found in target.connections.all(when)
            ]
        names = "/".join(name for _, name in target.id.path)
        return {
            "id": self.id(target.id),
            **({"name": names, "type": SLOT if is_slot else SITE} if self.knobs.list_items_named or not item else {}),
            "kind": target.kind,
            "location": target.location,
            "tags": target.tags,
            "properties": properties,
        }

    def connection(self, connection: Connection, when: datetime, *, item: bool = False) -> JsonObject:
        """A private endpoint connection, as it was recorded from Azure."""
        state = connection.state.at(when)
        is_slot = fold(connection.target.id.type) == fold(SLOT)
        return {
            "id": self.id(connection.id),
            **self._named(connection, SLOT_CONNECTION if is_slot else SITE_CONNECTION, item=item),
            "location": connection.target.location,
            "properties": {
                "provisioningState": state.provisioning,
                "privateEndpoint": {"id": self.id(connection.endpoint)},
                "privateLinkServiceConnectionState": {
                    "status": state.status,
                    "description": state.description,
                    "actionsRequired": "None",
                },
                "ipAddresses": list(state.ip_addresses),
            },
        }

    def _named(self, resource: Resource, resource_type: str, *, item: bool) -> JsonObject:
        return {"name": resource.id.name, "type": resource_type} if self.knobs.list_items_named or not item else {}


def _system_data(created: datetime, modified: datetime) -> JsonObject:
    return {
        "createdBy": "requester@contoso.example",
        "createdByType": "User",
        "createdAt": _time(created),
        "lastModifiedBy": "requester@contoso.example",
        "lastModifiedByType": "User",
        "lastModifiedAt": _time(modified),
    }


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
