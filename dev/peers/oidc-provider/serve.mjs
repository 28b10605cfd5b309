// An OpenID provider with keys of its own, made at its start: whoever starts it again has rotated them.
// Arguments: the folder of the library, the port. A client gets a JWT by its own credentials, signed
// with the algorithm that the resource names; what the token says of tenants is in its scope.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [folder, port] = process.argv.slice(2);
const library = pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`);
const { Provider } = await import(library.href);

const pair = (alg, kind, options) => {
  const { privateKey } = generateKeyPairSync(kind, options);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg };
};
const keys = [
  pair('RS256', 'rsa', { modulusLength: 2048 }),
  pair('ES256', 'ec', { namedCurve: 'P-256' }),
  pair('EdDSA', 'ed25519', {}),
];

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: 'ada',
      client_secret: 'a secret of no worth',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  jwks: { keys },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'viewer operator',
        audience: 'export-center',
        accessTokenTTL: 300,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: resource.split(':').pop() } },
      }),
      useGrantedResource: () => true,
    },
  },
  extraTokenClaims: (_, token) => ({ export_center: { local: token.scope.split(' ') } }),
});
provider.listen(Number(port), '127.0.0.1');
