//! The gateway's own token on the requests to an upstream that wants one.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tollgate_plan::Reason;
use tollgate_plan::upstream::Upstream;

use super::attempt::client_closed;
use crate::exchange::{Exchange, Outgoing, Reject};
use crate::io::Gone;
use crate::live::tokens::{Token, TokenLive};

/// The token that a request shows.
pub(super) struct Shown {
    live: Arc<TokenLive>,
    token: Arc<Token>,
    /// It was refused once, and is not the first one any more.
    renewed: bool,
}

/// Puts the token of the upstream onto the request, in the place of the client's own credentials. None where the
/// upstream wants none.
pub(super) async fn show(
    exchange: &Exchange<'_>,
    upstream: &Upstream,
    live: Option<&Arc<TokenLive>>,
    outgoing: &mut Outgoing,
) -> Result<Option<Shown>, Reject> {
    let Some(live) = live.cloned() else { return Ok(None) };
    let now = exchange.worker.clock.recent();
    let token = match live.current(now) {
        Some(token) => token,
        None => within(exchange, upstream, live.soon(now)).await?.ok_or_else(|| unavailable(exchange))?,
    };
    outgoing.authorize(token.line.expose());
    Ok(Some(Shown { live, token, renewed: false }))
}

impl Shown {
    /// Puts another token in the place of one that the upstream refused: once for a request, and only if there is one.
    pub(super) async fn renew(
        &mut self,
        exchange: &Exchange<'_>,
        upstream: &Upstream,
        outgoing: &mut Outgoing,
    ) -> Result<bool, Reject> {
        if self.renewed {
            return Ok(false);
        }
        self.renewed = true;
        let now = exchange.worker.clock.recent();
        let newer = self.live.newer_than(self.token.generation, now);
        let Some(token) = within(exchange, upstream, newer).await? else { return Ok(false) };
        self.token = token;
        self.again(outgoing);
        Ok(true)
    }

    /// Puts the token back where all credentials were taken off.
    pub(super) fn again(&self, outgoing: &mut Outgoing) {
        outgoing.authorize(self.token.line.expose());
    }
}

/// Waits no longer than for a connection: like that, it comes before anything is sent. An error when the client leaves
/// meanwhile.
async fn within(
    exchange: &Exchange<'_>,
    upstream: &Upstream,
    token: impl Future<Output = Option<Arc<Token>>>,
) -> Result<Option<Arc<Token>>, Reject> {
    let (worker, client) = (exchange.worker, exchange.client);
    let mut token = pin!(token);
    exchange.arm(worker.clock.now(), upstream.connect_timeout);
    let waited = poll_fn(|cx| {
        if let Poll::Ready(token) = token.as_mut().poll(cx) {
            return Poll::Ready(Ok(token));
        }
        if let Poll::Ready(Gone::Broken) = client.io.poll_gone(cx) {
            return Poll::Ready(Err(client_closed()));
        }
        client.timer.poll(cx).map(|()| Ok(None))
    })
    .await;
    worker.clock.now();
    waited
}

pub(super) fn unavailable(exchange: &Exchange<'_>) -> Reject {
    if exchange.is_overdue() {
        return Reject::overdue();
    }
    Reject::new(Reason::IssuerUnavailable, "the credentials for the service cannot be had at the moment")
}
