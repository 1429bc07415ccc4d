"""A single sign-on of your own, for examples and tests: an OpenID Connect provider on loopback.

It is real where it counts: TLS under a CA of its own, signed tokens, published keys, the code
flow with PKCE, all of it by Authlib. It runs in a process of its own, and can be told to answer
wrongly: that is what a guard has to live through. Refuses to be more: whoever gives a name is
logged in as that name. Never put it on a network.

client        logs in, and tells it how to misbehave
process       its process, and the pipe to it
server        what runs there: TLS, and who obeys the pipe
app           its addresses
grants        its ways to a token
accounts      whom it knows, and what it has issued
keys          what it signs with
names         what both sides call things
documents     what it publishes, and how that goes wrong
certificates  its CA, and its certificate
"""

from .client import OidcProvider, Tokens

__all__ = ["OidcProvider", "Tokens"]
