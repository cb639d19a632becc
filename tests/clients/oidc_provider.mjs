// A real OpenID Connect provider, with its own sign-in and consent pages.
// Arguments: port, client id, client secret, redirect URI. Prints `ready`, then every address that it sends a browser back to.
import Provider from 'oidc-provider'

const [port, client_id, client_secret, redirect_uri] = process.argv.slice(2)
const issuer = `http://127.0.0.1:${port}`
const account = (sub) => ({
  accountId: sub,
  claims: () => ({ sub, email: `${sub}@lovelace.test`, email_verified: true, given_name: 'Ada', family_name: 'Lovelace' }),
})
const provider = new Provider(issuer, {
  clients: [{ client_id, client_secret, redirect_uris: [redirect_uri] }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['given_name', 'family_name'] },
  cookies: { keys: ['of one test'] },
  findAccount: (_, sub) => account(sub),
})
provider.use(async (ctx, next) => {
  await next()
  const address = ctx.response.headers.location
  if (address?.startsWith(redirect_uri)) console.log(address)
})
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'))
