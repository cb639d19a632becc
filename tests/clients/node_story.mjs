// What a server does with posthog-node: visits, a sign-in, an alias, an event without a person.
// Arguments: host, project token.
import { PostHog } from 'posthog-node'

const [host, token] = process.argv.slice(2)
const errors = []
const client = new PostHog(token, { host, flushAt: 20, flushInterval: 200 })
client.on('error', (error) => errors.push(String(error)))
client.capture({ distinctId: 'node_anon', event: 'node visited', properties: { page: '/' } })
client.identify({ distinctId: 'node_user', properties: { email: 'ann@example.com', $set_once: { first: 'node' } } })
client.alias({ distinctId: 'node_user', alias: 'node_anon' })
client.capture({ distinctId: 'node_user', event: 'node bought', properties: { euros: 7 } })
client.capture({ event: 'node nobody' })
const flags = await client.getAllFlags('node_user')
await client.shutdown()
console.log(JSON.stringify({ errors, flags }))
