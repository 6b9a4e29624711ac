//! The way of a request, in the order in which it happens. No logic lives here.

use std::rc::Rc;

use tollgate_plan::aggregate::Aggregate;
use tollgate_plan::route::Action;

use crate::client::Client;
use crate::exchange::{Exchange, Glimpse, Next, Outcome, Reject, Reply};
use crate::trail::Trail;
use crate::worker::{Active, Kit, Worker};
use crate::{
    access, aggregate, cache, explain, identify, limit, observe, parse, respond, route, transform, upstream,
    validate,
};

/// Serves one request: from its head to its log record.
pub(crate) async fn serve(worker: &Rc<Worker>, client: &Rc<Client>, mut kit: Box<Kit>) -> Next {
    // The only place where a request meets its plan.
    let active = worker.active.borrow().clone();
    let facts = parse::facts(worker, &active, client, &kit.head);
    parse::own_headers(&active, client, &facts, &mut kit.head);
    let shelf = cache::Shelf::default();
    let mut exchange = Exchange::begin(worker, client, active.clone(), &mut kit, facts);
    let mut outcome = run(&mut exchange, &active, &shelf).await;
    transform::refusal(&exchange, &mut outcome);
    limit::tell(&mut exchange);
    let next = respond::finish(&mut exchange, outcome).await;
    // Dropping the exchange leaves its record, also when the connection is cut in the middle.
    drop(exchange);
    worker.spare.keep_kit(kit);
    next
}

/// Sends a request on the same way that is only to be explained: nothing of it is counted, kept or sent. It leaves what the
/// stages said, and the gateway's own answer where it has one.
pub(crate) async fn explain(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    mut kit: Box<Kit>,
    live: bool,
) -> explain::Told {
    let active = worker.active.borrow().clone();
    let facts = parse::facts(worker, &active, client, &kit.head);
    parse::own_headers(&active, client, &facts, &mut kit.head);
    let shelf = cache::Shelf::default();
    let trail = Trail::new(live);
    let mut exchange = Exchange::explained(worker, client, active.clone(), &mut kit, facts, trail);
    let mut outcome = run(&mut exchange, &active, &shelf).await;
    transform::refusal(&exchange, &mut outcome);
    limit::tell(&mut exchange);
    let (reject, reply) = respond::explain(&exchange, outcome);
    explain::told(&exchange, reject, reply)
}

async fn run<'a>(
    exchange: &mut Exchange<'_>,
    active: &'a Active,
    shelf: &'a cache::Shelf,
) -> Result<Outcome<'a>, Reject> {
    parse::check(exchange)?;
    route::find(exchange)?;
    identify::disown(exchange);
    limit::memory(exchange)?;
    if let Some(reply) = access::cors(exchange) {
        return Ok(Outcome::Reply(reply));
    }
    access::addresses(exchange)?;
    access::agents(exchange)?;
    limit::by_address(exchange).await?;
    identify::identify(exchange).await?;
    limit::by_identity(exchange).await?;
    limit::concurrency(exchange).await?;
    validate::declared_size(exchange)?;
    validate::guards(exchange)?;
    validate::interface(exchange).await?;
    validate::schemas(exchange).await?;
    let mut outcome = match cache::has(exchange) {
        false => act(exchange, active).await?,
        // Boxed: the routes without a cache need not carry the room.
        true => Box::pin(cached(exchange, active, shelf)).await?,
    };
    cache::forget(exchange, &mut outcome);
    transform::response(exchange, outcome.headers());
    transform::compress(exchange, &mut outcome).await;
    Ok(outcome)
}

/// Stages 10 to 12: what the route does.
async fn act<'a>(exchange: &mut Exchange<'_>, active: &'a Active) -> Result<Outcome<'a>, Reject> {
    Ok(match active.action(exchange.route) {
        Some(Action::Respond(respond)) => Outcome::Reply(respond::fixed(exchange, respond)),
        Some(Action::Redirect(redirect)) => Outcome::Reply(respond::redirect(exchange, redirect)?),
        Some(Action::Aggregate(aggregate)) if let Some(scripts) = transform::scripted(exchange) => {
            Box::pin(scripted_parts(exchange, aggregate, scripts)).await?
        }
        Some(Action::Aggregate(aggregate)) => {
            let shared = transform::part(exchange, aggregate);
            // Boxed: the routes to one service need not carry the room.
            Outcome::Reply(Box::pin(aggregate::aggregate(exchange, aggregate, shared)).await?)
        }
        Some(Action::Health(upstreams)) => Outcome::Reply(respond::health(exchange, upstreams)),
        Some(Action::To(_) | Action::Split(_)) => forward(exchange).await?,
        None => return Err(Reject::internal("a route without an action")),
    })
}

/// The request goes to a service. Scripts have the last word on it, and the first on the answer.
async fn forward(exchange: &mut Exchange<'_>) -> Result<Outcome<'static>, Reject> {
    let mut scripts = transform::scripted(exchange);
    if let Some(scripts) = scripts.as_deref().filter(|scripts| scripts.need_body()) {
        Box::pin(scripts.buffer(exchange)).await?;
    }
    let mut outgoing = transform::request(exchange)?;
    if let Some(scripts) = &mut scripts
        && let Some(reply) = scripts.request(exchange, &mut outgoing)?
    {
        return Ok(Outcome::Reply(reply));
    }
    if exchange.is_explained() {
        return upstream::explain(exchange, outgoing);
    }
    upstream::mirror(exchange, &outgoing);
    let answer = upstream::call(exchange, outgoing).await;
    if let Some(scripts) = &scripts {
        scripts.sent(exchange);
    }
    let mut answer = answer?;
    access::own_word(exchange, &mut answer.head.headers);
    match scripts.filter(|scripts| scripts.see_answer(exchange)) {
        None => shaped(exchange, Outcome::Answer(answer)).await,
        // Boxed: the routes without scripts need not carry the room.
        Some(scripts) => Box::pin(scripted(exchange, scripts, Outcome::Answer(answer))).await,
    }
}

/// What a route does that keeps answers: with one of those, or with one that is kept from now on.
async fn cached<'a>(
    exchange: &mut Exchange<'_>,
    active: &'a Active,
    shelf: &'a cache::Shelf,
) -> Result<Outcome<'a>, Reject> {
    if exchange.is_explained() {
        return match cache::explain(exchange, active, shelf)? {
            Some(reply) => Ok(Outcome::Reply(reply)),
            None => act(exchange, active).await,
        };
    }
    match cache::look(exchange, active, shelf).await? {
        cache::Look::Answer(reply) => Ok(Outcome::Reply(reply)),
        cache::Look::Stale(reply, newer) => {
            if let Some(newer) = newer {
                tokio::task::spawn_local(refresh(newer));
            }
            Ok(Outcome::Reply(reply))
        }
        cache::Look::Ask(visit) => {
            let outcome = act(exchange, active).await;
            cache::keep(exchange, active, shelf, visit, outcome)
        }
    }
}

/// Asks for an answer that was given stale.
async fn refresh(mut asking: Box<cache::Refresh>) {
    let active = asking.active.clone();
    let Some((mut exchange, visit)) = asking.begin() else { return };
    let shelf = cache::Shelf::default();
    let outcome = match act(&mut exchange, &active).await {
        Ok(Outcome::Answer(answer)) if cache::is_whole_wanted(&answer) => {
            let whole = upstream::whole(&exchange, answer, visit.bytes_max()).await;
            whole.map(|(head, body)| {
                Outcome::Reply(Reply { status: head.status, headers: head.headers, body: body.into() })
            })
        }
        outcome => outcome,
    };
    // Nobody waits for what became of it.
    let _ = cache::keep(&exchange, &active, &shelf, visit, outcome);
}

/// The answer of an upstream, its body made into another one where the route says so.
async fn shaped(exchange: &Exchange<'_>, mut outcome: Outcome<'static>) -> Result<Outcome<'static>, Reject> {
    let status = outcome.status();
    let Some(rules) = transform::rules(exchange, status) else {
        transform::shape_head(exchange, status, outcome.headers());
        return Ok(outcome);
    };
    // Boxed: the routes without rules need not carry the room.
    let Reply { status, headers, body } = Box::pin(whole(exchange, outcome, rules.bytes)).await?;
    transform::shape(exchange, rules, status, headers, &body).map(Outcome::Reply)
}

/// An answer with all of its body.
async fn whole(
    exchange: &Exchange<'_>,
    outcome: Outcome<'static>,
    bytes: usize,
) -> Result<Reply<'static>, Reject> {
    match outcome {
        Outcome::Reply(reply) => Ok(reply),
        Outcome::Answer(answer) => {
            let (head, body) = upstream::whole(exchange, answer, bytes).await?;
            Ok(Reply { status: head.status, headers: head.headers, body: body.into() })
        }
    }
}

/// What scripts make of an answer.
async fn scripted(
    exchange: &Exchange<'_>,
    mut scripts: Box<transform::Scripted>,
    mut outcome: Outcome<'static>,
) -> Result<Outcome<'static>, Reject> {
    if let Some(bytes) = scripts.whole_answer(exchange, outcome.status()) {
        outcome = Outcome::Reply(whole(exchange, outcome, bytes).await?);
    }
    match scripts.response(exchange, outcome)? {
        transform::Passed::On(outcome) => shaped(exchange, outcome).await,
        transform::Passed::Answered(outcome) => Ok(outcome),
    }
}

/// An aggregate with scripts: they stand in front of its parts, and behind what they come to.
async fn scripted_parts(
    exchange: &mut Exchange<'_>,
    aggregate: &Aggregate,
    mut scripts: Box<transform::Scripted>,
) -> Result<Outcome<'static>, Reject> {
    scripts.buffer(exchange).await?;
    if let Some(reply) = scripts.before_parts(exchange)? {
        return Ok(Outcome::Reply(reply));
    }
    let shared = transform::part(exchange, aggregate);
    let reply = aggregate::aggregate(exchange, aggregate, shared).await;
    scripts.parts_came(exchange);
    if exchange.is_explained() {
        // There is no answer that they could see.
        return reply.map(Outcome::Reply);
    }
    match scripts.response(exchange, Outcome::Reply(reply?))? {
        transform::Passed::On(outcome) => Ok(outcome),
        transform::Passed::Answered(outcome) => Ok(outcome),
    }
}

/// Records what is not even a request, and gets no answer either.
pub(crate) fn reset(worker: &Rc<Worker>, client: &Rc<Client>, reject: &Reject, read: &Glimpse) {
    let active = worker.active.borrow().clone();
    let id = parse::fresh_id(worker);
    let refusal =
        observe::Refusal { reject, read, id: id.as_str(), started: worker.clock.now(), bytes_out: 0 };
    observe::refusal(worker, client, &active, &refusal);
}

/// Refuses what is not even a request.
pub(crate) async fn refuse(worker: &Rc<Worker>, client: &Rc<Client>, reject: Reject, read: Glimpse) -> Next {
    let active = worker.active.borrow().clone();
    let id = parse::fresh_id(worker);
    let started = client.began(worker);
    let (next, bytes_out) = respond::refuse(worker, client, &active, &reject, id.as_str()).await;
    let refusal = observe::Refusal { reject: &reject, read: &read, id: id.as_str(), started, bytes_out };
    observe::refusal(worker, client, &active, &refusal);
    next
}
