// Counts what a run of http-tests/cache-tests came to: score.mjs SUITE RESULTS.json [--list]
import fs from 'fs'
import path from 'path'
import { pathToFileURL } from 'url'

const [suite, results, list] = process.argv.slice(2)
const load = file => import(pathToFileURL(path.resolve(suite, file)))
const tests = (await load('tests/index.mjs')).default
const { determineTestResult } = await load('test-engine/lib/results.mjs')
const came = JSON.parse(fs.readFileSync(results))
const words = {
  '✅': 'pass', '⛔️': 'fail', '⚠️': 'not optimal', Y: 'yes', N: 'no', '🔹': 'setup failed',
  '⁉️': 'harness failed', '⚪️': 'dependency failed', '↻': 'retried', '-': 'not run'
}
const counts = {}
for (const { tests: cases } of tests) {
  for (const test of cases) {
    if (test.browser_only) continue
    const kind = test.kind ?? 'required'
    const word = words[determineTestResult(tests, test.id, came)[2]]
    counts[kind] ??= {}
    counts[kind][word] = (counts[kind][word] ?? 0) + 1
    if (list && !['pass', 'yes'].includes(word)) {
      console.log(`${kind} ${word}: ${test.id} ${came[test.id]?.[1] ?? ''}`)
    }
  }
}
for (const kind of ['required', 'optimal', 'check']) console.log(kind, JSON.stringify(counts[kind]))
