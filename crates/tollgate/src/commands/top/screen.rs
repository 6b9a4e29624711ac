//! The terminal while `top` shows something: raw, on its other screen, and put back however the command ends.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::frame::{Line, Room, Situation, Tone, frame};
use super::look;
use super::view::{Look, Sort, View};
use crate::admin_side::AdminSide;
use crate::output;

/// Where the size cannot be asked for.
const SIZE: (u16, u16) = (80, 24);

/// Keys that were typed and not yet acted on.
const KEYS_WAITING_MAX: usize = 16;

/// Shows the gateway until somebody wants no more.
pub(super) fn run(admin: AdminSide, every: Duration, first: (Instant, Look)) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let fault = |error: io::Error| format!("the terminal cannot be used: {error}");
    let runtime = runtime.map_err(fault)?;
    let shown = runtime.block_on(show(admin, every, first)).map_err(fault);
    // An answer that is still awaited is nobody's concern.
    runtime.shutdown_background();
    shown
}

/// What moves the screen.
enum Event {
    Key(u8),
    Resized,
    /// A signal, or no terminal any more.
    End,
    Looked(Result<(Instant, Look), String>),
    Due,
}

struct Shown {
    before: (Instant, Look),
    view: View,
    sort: Sort,
    paused: bool,
    fault: Option<String>,
}

async fn show(admin: AdminSide, every: Duration, first: (Instant, Look)) -> io::Result<()> {
    let mut signals = Signals::install()?;
    let _raw = Raw::enter()?;
    let mut keys = keys()?;
    let address = admin.address.to_string();
    let view = View::between(&first.1, &first.1, every, Sort::Rate);
    let mut shown = Shown { before: first, view, sort: Sort::Rate, paused: false, fault: None };
    let mut due = tokio::time::interval(every);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    // The first tick is now, and there is nothing to compare with yet.
    due.tick().await;
    let mut looking = None;
    loop {
        paint(&shown, &address)?;
        let event = tokio::select! {
            key = keys.recv() => key.map_or(Event::End, Event::Key),
            event = signals.next() => event,
            looked = answer(&mut looking) => Event::Looked(looked),
            _ = due.tick() => Event::Due,
        };
        let wanted = match event {
            Event::End | Event::Key(b'q' | b'Q' | 3 | 4) => return Ok(()),
            Event::Key(b' ') => true,
            Event::Key(key) => {
                shown.key(key);
                false
            }
            Event::Resized => false,
            Event::Looked(looked) => {
                looking = None;
                shown.take(looked);
                false
            }
            Event::Due => !shown.paused,
        };
        if wanted && looking.is_none() {
            let admin = admin.clone();
            looking = Some(tokio::task::spawn_blocking(move || look(&admin)));
        }
    }
}

type Looking = tokio::task::JoinHandle<Result<(Instant, Look), String>>;

/// The look that is under way; never, where none is.
async fn answer(looking: &mut Option<Looking>) -> Result<(Instant, Look), String> {
    match looking {
        Some(looking) => looking.await.unwrap_or_else(|error| Err(error.to_string())),
        None => std::future::pending().await,
    }
}

impl Shown {
    fn key(&mut self, key: u8) {
        match key {
            b'p' => self.paused = !self.paused,
            b'r' => self.sort = Sort::Rate,
            b'l' => self.sort = Sort::Latency,
            b'e' => self.sort = Sort::Errors,
            b'n' => self.sort = Sort::Name,
            _ => return,
        }
        self.view.sort(self.sort);
    }

    /// A look that failed leaves what was shown, and says why.
    fn take(&mut self, looked: Result<(Instant, Look), String>) {
        match looked {
            Ok((at, look)) => {
                self.view = View::between(&self.before.1, &look, at - self.before.0, self.sort);
                self.before = (at, look);
                self.fault = None;
            }
            Err(message) => self.fault = Some(message),
        }
    }
}

/// What is typed. A thread waits for it, which ends with the process: a read that waits cannot be called off.
fn keys() -> io::Result<mpsc::Receiver<u8>> {
    let (typed, keys) = mpsc::channel(KEYS_WAITING_MAX);
    std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
        let mut bytes = [0; 32];
        while let Ok(count @ 1..) = io::stdin().lock().read(&mut bytes) {
            // A key that is more than one byte, such as an arrow, means nothing here.
            let key = if count == 1 { bytes[0] } else { 0 };
            if typed.blocking_send(key).is_err() {
                return;
            }
        }
    })?;
    Ok(keys)
}

struct Signals {
    ends: [Signal; 3],
    resized: Signal,
}

impl Signals {
    fn install() -> io::Result<Signals> {
        let ends = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let [a, b, c] = ends.map(signal);
        Ok(Signals { ends: [a?, b?, c?], resized: signal(SignalKind::window_change())? })
    }

    async fn next(&mut self) -> Event {
        let [terminate, interrupt, hangup] = &mut self.ends;
        tokio::select! {
            _ = terminate.recv() => Event::End,
            _ = interrupt.recv() => Event::End,
            _ = hangup.recv() => Event::End,
            _ = self.resized.recv() => Event::Resized,
        }
    }
}

/// The terminal as it was; dropped, also by a panic, it is so again.
struct Raw {
    before: Termios,
}

impl Raw {
    fn enter() -> io::Result<Raw> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        let entered = Raw { before };
        // The other screen, without a cursor.
        write("\x1b[?1049h\x1b[?25l")?;
        Ok(entered)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone cannot be put back.
        let _ = write("\x1b[?25h\x1b[?1049l");
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

fn paint(shown: &Shown, address: &str) -> io::Result<()> {
    let size = tcgetwinsize(io::stdout()).map(|size| (size.ws_col, size.ws_row));
    let (width, height) = size.ok().filter(|(width, height)| *width > 0 && *height > 0).unwrap_or(SIZE);
    let situation =
        Situation { address, sort: shown.sort, paused: shown.paused, fault: shown.fault.as_deref() };
    let room = Room { width: width.into(), height: Some(height.into()) };
    write(&screen(&frame(&shown.view, &situation, room), output::out_colour()))
}

/// The whole screen at once: each line over the one that was there, and nothing below the last one.
fn screen(lines: &[Line], colour: bool) -> String {
    let mut text = String::from("\x1b[H");
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            text.push_str("\r\n");
        }
        for (tone, piece) in line {
            let code = match tone {
                Tone::Plain => "",
                Tone::Strong => "\x1b[1m",
                Tone::Faint => "\x1b[2m",
                Tone::Good if colour => "\x1b[32m",
                Tone::Bad if colour => "\x1b[31m",
                // Without colours, what is bad still stands out.
                Tone::Good => "",
                Tone::Bad => "\x1b[1m",
            };
            text.push_str(code);
            text.push_str(piece);
            text.push_str("\x1b[0m");
        }
        text.push_str("\x1b[K");
    }
    text.push_str("\x1b[J");
    text
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
