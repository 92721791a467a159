// A certified OpenID provider, for the test `oauth_provider`: node provider.mjs SETTINGS
// SETTINGS is JSON: redirectUri, accessSeconds. Prints its port.

import { createServer } from "node:http";
import { createRequire } from "node:module";

// What `tests/oidc/run` installed.
const require = createRequire(`${process.env.ROLLOUT_OIDC}/`);
const { default: Provider } = await import(require.resolve("oidc-provider"));

const settings = JSON.parse(process.argv[2]);
const issuer = "https://op.conformance.example";

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "rollout",
      client_secret: "client-secret-of-the-conformance-provider",
      redirect_uris: [settings.redirectUri],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
    },
  ],
  // Anybody may sign in: the login name is the account.
  findAccount: (_context, id) => ({
    accountId: id,
    claims: async () => ({ sub: id }),
  }),
  pkce: { required: () => true },
  rotateRefreshToken: true,
  features: {
    devInteractions: { enabled: true },
    revocation: { enabled: true },
  },
  ttl: {
    AccessToken: settings.accessSeconds,
    AuthorizationCode: 60,
    Grant: 3600,
    IdToken: 3600,
    Interaction: 3600,
    RefreshToken: 3600,
    Session: 3600,
  },
});
provider.on("server_error", (_context, error) => console.error(error));
provider.on("grant.error", (_context, error) => console.error(error.message, error.error_detail));
// A token was given back, or came twice.
provider.on("grant.revoked", () => console.log("revoked"));
provider.on("grant.success", (context) => console.log(context.oidc.params.grant_type));

// How long requests for tokens wait before they are looked at, in milliseconds: the last
// line of the input.
let wait = 0;
const answer = provider.callback();
const server = createServer((request, response) => {
  const slow = request.url === "/token" ? wait : 0;
  setTimeout(() => answer(request, response), slow);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("data", (line) => (wait = Number(line)));
// It ends with whoever started it.
process.stdin.on("end", () => process.exit()).resume();
