// A real OpenID provider (oidc-provider, certified by the OpenID Foundation) with made-up people, for the tests.
//
//   node provider.mjs PORT REDIRECT
//
// Whoever logs in as `hong` is hong; where they live is in PEOPLE. It says "ready" when it listens.

import { Provider } from "../../client/web/node_modules/oidc-provider/lib/index.js";

const [port, redirect] = process.argv.slice(2);
const PEOPLE = { hong: "종로구", kim: "Mapo-gu", lee: "Busan" };

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "attestor",
      client_secret: "a secret of thirty-two characters",
      redirect_uris: [redirect],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
    {
      client_id: "public",
      token_endpoint_auth_method: "none",
      redirect_uris: [redirect],
      grant_types: ["authorization_code"],
      response_types: ["code"],
    },
  ],
  claims: { openid: ["sub"], address: ["address"] },
  pkce: { required: () => true },
  async findAccount(_, sub) {
    return { accountId: sub, claims: async () => ({ sub, address: { locality: PEOPLE[sub] } }) };
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
