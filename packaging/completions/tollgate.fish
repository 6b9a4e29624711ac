# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_tollgate_global_optspecs
    string join \n h/help V/version
end

function __fish_tollgate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_tollgate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_tollgate_using_subcommand
    set -l cmd (__fish_tollgate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c tollgate -n "__fish_tollgate_needs_command" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_needs_command" -s V -l version -d 'Print version'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "run" -d 'Run the gateway'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "check" -d 'Check a configuration: every error and warning, then who may reach what'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "routes" -d 'Show the routes in the order in which they are asked: the more specific one first'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "status" -d 'Ask a running gateway how it is: whether it is ready, and which targets get no requests'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "explain" -d 'Explain what would become of a request: every route and why it is not taken, then each step of the way'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "why" -d 'Tell in words what became of a request that a running gateway has served, by its id'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "diff" -d 'Tell what a configuration changes of another one, and what would be less protected than before'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "top" -d 'Show a running gateway live: rates, latencies, refusals, routes and targets'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "init" -d 'Write a first configuration, with comments'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "completions" -d 'Print the completions of this command line for a shell'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "test" -d 'Run the tests of a configuration, offline: through the code that serves, with stubs for services and issuers'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "schema" -d 'Print the JSON Schema of the configuration file'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "import" -d 'Make a configuration of that of another gateway, or of the description of an interface'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "key" -d 'Make API keys, and the hashes that the configuration holds'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "token" -d 'Make a token for development, and the key set that proves it'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "logs" -d 'Read access records: of a file, or of an object store'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "cost" -d 'Estimate what a month\'s requests take in machines and in money, from measured CPU and list prices'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "version" -d 'Print version, commit and target'
complete -c tollgate -n "__fish_tollgate_needs_command" -f -a "demo" -d 'Run a gateway with two demo services behind it and an issuer of tokens, and requests to try'
complete -c tollgate -n "__fish_tollgate_using_subcommand run" -s c -l config -d 'The configuration, a file or a URL (https, s3, gs, az); default tollgate.yaml, then /etc/tollgate/tollgate.yaml' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand run" -l state -d 'Where the last good copy of a configuration from a URL is kept; default $STATE_DIRECTORY, then /var/lib/tollgate when it exists' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand check" -s c -l config -d 'The configuration, a file or a URL (https, s3, gs, az); default tollgate.yaml, then /etc/tollgate/tollgate.yaml' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand check" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand check" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand routes" -s c -l config -d 'The configuration, a file or a URL (https, s3, gs, az); default tollgate.yaml, then /etc/tollgate/tollgate.yaml' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand routes" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand routes" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand status" -l address -d 'Where its admin side listens, instead of what the configuration says' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand status" -s c -l config -d 'The configuration, a file or a URL (https, s3, gs, az); default tollgate.yaml, then /etc/tollgate/tollgate.yaml' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand status" -l ready -d 'Ask whether it is ready, whatever its upstreams do: for health checks that restart what is not well'
complete -c tollgate -n "__fish_tollgate_using_subcommand status" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand explain" -s H -l header -d 'A header line; may be given more than once' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand explain" -s d -l data -d 'The body' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand explain" -l ip -d 'The address of the client, or of the proxy in front' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand explain" -l live -d 'Ask the gateway that runs, at the admin address of the configuration or the one given (token: TOLLGATE_ADMIN_TOKEN)' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand explain" -s c -l config -d 'The configuration, a file or a URL (https, s3, gs, az); default tollgate.yaml, then /etc/tollgate/tollgate.yaml' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand explain" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand why" -l address -d 'Where its admin side listens, instead of what the configuration says' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand why" -s c -l config -d 'The configuration, a file or a URL (https, s3, gs, az); default tollgate.yaml, then /etc/tollgate/tollgate.yaml' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand why" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand why" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand diff" -l samples -d 'Access records, compressed or not, or `-` for standard input: which of these requests would end elsewhere' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand diff" -l live -d 'The same of the last requests of a running gateway, at the admin address of OLD or the one given' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand diff" -l fail-on -d 'What makes exit code 1' -r -f -a "weaker\t'Something would be less protected'
any\t'Anything differs'"
complete -c tollgate -n "__fish_tollgate_using_subcommand diff" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand top" -l address -d 'Where its admin side listens, instead of what the configuration says' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand top" -s c -l config -d 'The configuration, a file or a URL (https, s3, gs, az); default tollgate.yaml, then /etc/tollgate/tollgate.yaml' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand top" -l every -d 'Time between two looks: 500ms, 2s, 1m' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand top" -l once -d 'Print one screen as text and end'
complete -c tollgate -n "__fish_tollgate_using_subcommand top" -l json -d 'Print what one screen shows as JSON and end'
complete -c tollgate -n "__fish_tollgate_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand init" -l to -d 'The service behind the gateway' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand init" -l auth -d 'Who may call: `all`, `key` (a key is made), or the URL of an issuer of tokens' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand init" -l listen -d 'Where clients connect' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand init" -l audience -d 'Whom tokens of the issuer must be for (`aud`)' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand init" -s o -l output -d 'The file that is written; `-` for standard output' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand init" -l force -d 'Replace a file that exists'
complete -c tollgate -n "__fish_tollgate_using_subcommand init" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand completions" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -l junit -d 'Where the outcome is written as JUnit XML, beside what is shown' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -s c -l config -d 'The configuration, a file or a URL (https, s3, gs, az); default tollgate.yaml, then /etc/tollgate/tollgate.yaml' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -l record -d 'Send a request to the gateway that runs here, and print a test that expects what it answers: the URL of a request, or with --from that of the gateway. Each test that is printed passes offline with the configuration' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -l from -d 'The requests: access records, or lines of METHOD and PATH; `-` for standard input. Each is sent once' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -s X -l method -d 'The method; default GET, or POST with a body' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -s H -l header -d 'A header line of each request; may be given more than once' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -s d -l data -d 'The body' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -l admin -d 'The gateway\'s admin side, instead of what the configuration says (token: TOLLGATE_ADMIN_TOKEN)' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -l any-method -d 'Send those of --from, too, that may change something: other methods than GET and HEAD, without a body'
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -l append -d 'Print without `tests:`, to be appended to a file that ends with its tests'
complete -c tollgate -n "__fish_tollgate_using_subcommand test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand schema" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and not __fish_seen_subcommand_from kong krakend openapi" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and not __fish_seen_subcommand_from kong krakend openapi" -f -a "kong" -d 'A declarative configuration of Kong (kong.yml), format versions 1.1, 2.1 and 3.0'
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and not __fish_seen_subcommand_from kong krakend openapi" -f -a "krakend" -d 'A configuration of KrakenD (krakend.json), version 3'
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and not __fish_seen_subcommand_from kong krakend openapi" -f -a "openapi" -d 'A description of an interface in OpenAPI 3.0 or 3.1, YAML or JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from kong" -s o -l output -d 'Where the configuration is written, instead of standard output' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from kong" -l report -d 'Where the report is written, instead of standard error' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from kong" -l secrets -d 'Where secrets are written that the configuration refers to, as NAME="value" for a shell or systemd. Without it the report names what has to be set' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from kong" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from kong" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from krakend" -s o -l output -d 'Where the configuration is written, instead of standard output' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from krakend" -l report -d 'Where the report is written, instead of standard error' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from krakend" -l secrets -d 'Where secrets are written that the configuration refers to, as NAME="value" for a shell or systemd. Without it the report names what has to be set' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from krakend" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from krakend" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from openapi" -s o -l output -d 'Where the configuration is written, instead of standard output' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from openapi" -l report -d 'Where the report is written, instead of standard error' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from openapi" -l secrets -d 'Where secrets are written that the configuration refers to, as NAME="value" for a shell or systemd. Without it the report names what has to be set' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from openapi" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand import; and __fish_seen_subcommand_from openapi" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and not __fish_seen_subcommand_from create hash" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and not __fish_seen_subcommand_from create hash" -f -a "create" -d 'Make an API key: print it once, with the hash for `consumers`'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and not __fish_seen_subcommand_from create hash" -f -a "hash" -d 'Print the hash of an API key or a password, read from standard input'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from create" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from hash" -l password -d 'Hash a password for `basic` with argon2id instead'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from hash" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand key; and __fish_seen_subcommand_from hash" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand token" -l issuer -d 'An issuer of the configuration; its `issuer`, `audience` and algorithms are used' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token" -l iss -d 'The claim `iss`, instead of the issuer\'s own' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token" -l aud -d 'The claim `aud`, instead of the issuer\'s own' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token" -l claim -d 'A claim; a value that is JSON counts as JSON, any other as text; `null` leaves a claim out' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token" -l alg -d 'How it is signed; default the key\'s own, else the issuer\'s first' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token" -l ttl -d 'How long it is good: 90s, 15m, 1h, 7d' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand token" -l key -d 'The private key, a JWK; made when the file does not exist. Left out, a key is made and forgotten' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand token" -l jwks -d 'Where to put the public key, a JWK set for `jwks_file`; other keys in it are kept' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand token" -s c -l config -d 'The configuration, a file or a URL (https, s3, gs, az); default tollgate.yaml, then /etc/tollgate/tollgate.yaml' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand token" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand logs" -l where -d 'Only records that fit, as in `status>=500 && route==orders`' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand logs" -l last -d 'Only requests that began within this time: 90s, 15m, 1h, 7d' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand logs" -s c -l config -d 'The configuration, a file or a URL (https, s3, gs, az); default tollgate.yaml, then /etc/tollgate/tollgate.yaml' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l requests -d 'Requests in a month of 730 hours: a whole number, or one with k, M or G (thousand, million, thousand million)' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l peak -d 'The busiest second, as a multiple of the mean' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l cpu-us -d 'CPU of one request in microseconds. Left out: as last measured with a token, a limit, metrics and a log' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l measured -d 'Take the CPU from a file of measurements in the form of bench/results' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l work -d 'Which samples of that file: by the work, or by who did it' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l from -d 'Take the CPU from a running gateway: all of its CPU time by all requests since its start (token: TOLLGATE_ADMIN_TOKEN)' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l bytes-in -d 'Bytes of one request, head included' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l bytes-out -d 'Bytes of one answer, head included' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l utilisation -d 'How much of a machine\'s CPU the busiest second may take, in percent' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l zones -d 'Zones; with two or more, the others carry the busiest second when one is gone' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l record-bytes -d 'Bytes of one access record in the object store, compressed; 0: no records are kept' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l keep-days -d 'How long records are kept, in days' -r
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l storage -d 'The class of storage that records go to' -r -f -a "standard\t'Read at any time, at no price a byte'
cold\t'Cheaper to keep, dearer to write and to read, paid for 90 days at least'"
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l prices -d 'Prices of your own, in the form that --show-prices prints' -r -F
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l redis -d 'Add a machine for Redis, for limits that all gateways share'
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l show-prices -d 'Print the prices and end'
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand cost" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tollgate -n "__fish_tollgate_using_subcommand version" -l json -d 'Print JSON'
complete -c tollgate -n "__fish_tollgate_using_subcommand version" -s h -l help -d 'Print help'
complete -c tollgate -n "__fish_tollgate_using_subcommand demo" -s h -l help -d 'Print help'
