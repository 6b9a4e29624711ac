//! As much of Redis' protocol (RESP 2) as tests need: a command, and its answer.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::wait::PATIENCE;

/// A blocking connection.
pub struct Resp {
    stream: BufReader<TcpStream>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `+` or `$`.
    Text(String),
    /// `-`: what went wrong.
    Error(String),
    /// `:`.
    Int(i64),
    /// No value.
    Nil,
    /// `*`.
    List(Vec<Value>),
}

impl Resp {
    /// Connects to `host:port`. Answers may take [`PATIENCE`].
    pub fn connect(address: &str) -> Result<Resp> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let resp = Resp { stream: BufReader::new(stream) };
        resp.patience(PATIENCE);
        Ok(resp)
    }

    /// How long an answer may take.
    pub fn patience(&self, time: Duration) {
        self.stream.get_ref().set_read_timeout(Some(time)).expect("a timeout can be set");
    }

    /// A command and its answer; panics when there is none.
    #[track_caller]
    pub fn call<T: AsRef<[u8]>>(&mut self, command: &[T]) -> Value {
        self.try_call(command).expect("redis-server answers")
    }

    /// A command and its answer.
    pub fn try_call<T: AsRef<[u8]>>(&mut self, command: &[T]) -> Result<Value> {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for word in command.iter().map(AsRef::as_ref) {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&bytes)?;
        self.read()
    }

    fn read(&mut self) -> Result<Value> {
        let line = self.line()?;
        let mut chars = line.chars();
        let kind = chars.next();
        let rest = chars.as_str();
        let number = || rest.parse::<i64>().map_err(|_| wrong(&line));
        match kind {
            Some('+') => Ok(Value::Text(rest.to_owned())),
            Some('-') => Ok(Value::Error(rest.to_owned())),
            Some(':') => Ok(Value::Int(number()?)),
            Some('$') => match usize::try_from(number()?) {
                Err(_) => Ok(Value::Nil),
                Ok(length) => self.bulk(length),
            },
            Some('*') => match usize::try_from(number()?) {
                Err(_) => Ok(Value::Nil),
                Ok(count) => (0..count).map(|_| self.read()).collect::<Result<_>>().map(Value::List),
            },
            _ => Err(wrong(&line)),
        }
    }

    fn bulk(&mut self, length: usize) -> Result<Value> {
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(Value::Text(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(Error::new(ErrorKind::UnexpectedEof, "the answer is cut off")),
        }
    }
}

impl Value {
    /// The text of `+` and `$`.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list of integers.
    pub fn ints(&self) -> Option<Vec<i64>> {
        let Value::List(list) = self else { return None };
        list.iter().map(|value| if let Value::Int(int) = value { Some(*int) } else { None }).collect()
    }

    /// Itself; panics on an error.
    #[track_caller]
    pub fn unwrap(self) -> Value {
        match self {
            Value::Error(error) => panic!("redis-server refused: {error}"),
            value => value,
        }
    }
}

fn wrong(line: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not RESP: {line:?}"))
}
