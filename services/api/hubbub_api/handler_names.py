"""What JupyterHub calls the handlers of its addresses: dashboards tell requests apart by these names."""

import re

#: Class (below `jupyterhub.`) and its addresses below the hub's, `{}` for each part that varies.
_CLASSES = {
    "apihandlers.auth.CookieAPIHandler": "api/authorizations/cookie/{} api/authorizations/cookie/{}/{}",
    "apihandlers.auth.OAuthAuthorizeHandler": "api/oauth2/authorize",
    "apihandlers.auth.OAuthTokenHandler": "api/oauth2/token",
    "apihandlers.auth.TokenAPIHandler": "api/authorizations/token api/authorizations/token/{}",
    "apihandlers.base.API404": "api/{}",
    "apihandlers.groups.GroupAPIHandler": "api/groups/{}",
    "apihandlers.groups.GroupListAPIHandler": "api/groups",
    "apihandlers.groups.GroupPropertiesAPIHandler": "api/groups/{}/properties",
    "apihandlers.groups.GroupUsersAPIHandler": "api/groups/{}/users",
    "apihandlers.hub.InfoAPIHandler": "api/info",
    "apihandlers.hub.RootAPIHandler": "api api/",
    "apihandlers.hub.ShutdownAPIHandler": "api/shutdown",
    "apihandlers.proxy.ProxyAPIHandler": "api/proxy",
    "apihandlers.services.ServiceAPIHandler": "api/services/{}",
    "apihandlers.services.ServiceListAPIHandler": "api/services",
    "apihandlers.shares.GroupShareAPIHandler": "api/groups/{}/shared/{}/{}",
    "apihandlers.shares.GroupShareListAPIHandler": "api/groups/{}/shared",
    "apihandlers.shares.ServerShareAPIHandler": "api/shares/{} api/shares/{}/{}",
    "apihandlers.shares.ServerShareCodeAPIHandler": "api/share-codes/{} api/share-codes/{}/{}",
    "apihandlers.shares.UserShareAPIHandler": "api/users/{}/shared/{}/{}",
    "apihandlers.shares.UserShareListAPIHandler": "api/users/{}/shared",
    "apihandlers.users.ActivityAPIHandler": "api/users/{}/activity",
    "apihandlers.users.SelfAPIHandler": "api/user",
    "apihandlers.users.SpawnProgressAPIHandler": "api/users/{}/server/progress api/users/{}/servers/{}/progress",
    "apihandlers.users.UserAPIHandler": "api/users/{}",
    "apihandlers.users.UserAdminAccessAPIHandler": "api/users/{}/admin-access",
    "apihandlers.users.UserListAPIHandler": "api/users",
    "apihandlers.users.UserServerAPIHandler": "api/users/{}/server api/users/{}/servers/{}",
    "apihandlers.users.UserTokenAPIHandler": "api/users/{}/tokens/{}",
    "apihandlers.users.UserTokenListAPIHandler": "api/users/{}/tokens",
    "handlers.base.CSPReportHandler": "security/csp-report",
    "handlers.base.UserRedirectHandler": "user-redirect user-redirect/{}",
    "handlers.base.UserUrlHandler": "user/{} user/{}/{}",
    "handlers.login.LoginHandler": "login",
    "handlers.login.LogoutHandler": "logout",
    "handlers.metrics.MetricsHandler": "metrics api/metrics",
    "handlers.pages.AcceptShareHandler": "accept-share",
    "handlers.pages.AdminHandler": "admin",
    "handlers.pages.HealthCheckHandler": "health api/health",
    "handlers.pages.HomeHandler": "home",
    "handlers.pages.ProxyErrorHandler": "error/{}",
    "handlers.pages.SpawnHandler": "spawn spawn/{} spawn/{}/{}",
    "handlers.pages.SpawnPendingHandler": "spawn-pending/{} spawn-pending/{}/{}",
    "handlers.pages.TokenPageHandler": "token",
    "handlers.static.CacheControlStaticFilesHandler": "static/{}",
    "handlers.static.LogoHandler": "logo",
}
_NAMES = {path: f"jupyterhub.{name}" for name, paths in _CLASSES.items() for path in paths.split()}
_PREFIX_REDIRECT = "jupyterhub.handlers.base.PrefixRedirectHandler"
_NAMES_AROUND = {
    "": "jupyterhub.handlers.pages.RootHandler",
    "{}/{}": "jupyterhub.handlers.base.AddSlashHandler",
}
_NOWHERE = "jupyterhub.handlers.base.Template404"

_PART = re.compile(r"\{\w+\}")


def name_of(shape: str, prefix: str) -> str:
    """*shape*: an address with `{name}` for each part that varies. Where JupyterHub has none, it is the name itself.

    *prefix*: `/hub/`, or `/base/hub/`. A shape that is no address leads nowhere.
    """
    if not shape.startswith("/"):
        return _NOWHERE
    if shape == prefix.rstrip("/"):
        return _NAMES_AROUND["{}/{}"]
    base = prefix.removesuffix("hub/")
    if not shape.startswith(prefix):
        return _NAMES_AROUND.get(_PART.sub("{}", shape.removeprefix(base)), _PREFIX_REDIRECT)
    inside = shape.removeprefix(prefix)
    return _NAMES.get(_PART.sub("{}", inside)) or _NAMES_AROUND.get(inside) or f"hubbub/{inside}"
