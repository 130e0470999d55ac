// paced.mjs URL KEY RATE SECONDS REQUESTS LOG: sends the requests of a file (a method, a path and a body a line, tabs between) at
// a fixed rate, whether or not the ones before are answered: an open loop. Each is due at a moment of its own, and its
// latency counts from that moment, so a server (or this generator) that falls behind is charged for all that had to wait.
// LOG gets a line a request: when it was due and how long after that its answer was whole (microseconds), and its status.
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [, , url, key, rate, seconds, requests, log] = process.argv
const require = createRequire(path.join(process.env.NODE_PATH, 'loadtest', 'package.json'))
const { loadTest } = await import(pathToFileURL(require.resolve('loadtest')))

const lines = fs.readFileSync(requests, 'utf8').trimEnd().split('\n').map(line => line.split('\t'))
const interval = 1e6 / Number(rate)
const now = () => Number(process.hrtime.bigint() / 1000n)
let next = 0
let first
const out = []

await loadTest({
    url,
    requestsPerSecond: Number(rate),
    maxSeconds: Number(seconds),
    agentKeepAlive: true,
    quiet: true,
    requestGenerator(options, parameters, request, done) {
        const [method, target, body] = lines[next % lines.length]
        first ??= now()
        // The timer may be early by a part of a millisecond.
        const due = Math.min(now(), first + next * interval)
        next++
        parameters.method = method
        parameters.path = target
        parameters.headers = { Authorization: 'Bearer ' + key }
        if (body) {
            parameters.headers['Content-Type'] = 'application/json'
            parameters.headers['Content-Length'] = Buffer.byteLength(body)
        }
        const made = request(parameters, answer => {
            answer.on('end', () => out.push(`${Math.round(due - first)} ${Math.round(now() - due)} ${answer.statusCode}`))
            done(answer)
        })
        made.on('error', () => out.push(`${Math.round(due - first)} ${Math.round(now() - due)} 0`))
        if (body) made.write(body)
        return made
    },
})
fs.writeFileSync(log, out.join('\n') + '\n')
process.exit(0)
