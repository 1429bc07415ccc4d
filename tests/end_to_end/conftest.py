from sso import running_sso, sso

__all__ = ["running_sso", "sso"]
