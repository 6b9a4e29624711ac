//! A gRPC service by tonic, and its client. What a compiler of `.proto` files would write is written by hand: one
//! message, one method of each kind.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codegen::tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::codegen::tokio_stream::{Stream, StreamExt};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::Grpc;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// The only message.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Note {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) payload: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub(crate) number: u32,
}

pub(crate) fn note(text: &str) -> Note {
    Note { text: text.to_owned(), ..Note::default() }
}

type Notes = Pin<Box<dyn Stream<Item = Result<Note, Status>> + Send>>;

/// The service. `/test.Notes/Echo` is unary, `Collect` takes a stream, `Count` gives one, `Chat` does both.
#[derive(Clone, Default)]
pub(crate) struct Service4 {
    /// Calls that are under way.
    pub(crate) under_way: Arc<AtomicUsize>,
    /// Calls that were begun.
    pub(crate) begun: Arc<AtomicUsize>,
}

/// A running service; it stops with its runtime.
pub(crate) async fn serve() -> (SocketAddr, Service4) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("a bound listener has an address");
    let service = Service4::default();
    let server = Server::builder().serve_with_incoming(service.clone(), TcpListenerStream::new(listener));
    tokio::spawn(server);
    (address, service)
}

struct UnderWay(Arc<AtomicUsize>);

impl Service4 {
    fn begin(&self) -> UnderWay {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(self.under_way.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<http::Request<Body>> for Service4 {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Note, Note>::default());
            let kind = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
            Ok(match &*kind {
                "Echo" | "Collect" => {
                    let _call = this.begin();
                    match &*kind {
                        "Echo" => grpc.unary(Call(echo), request).await,
                        _ => grpc.client_streaming(Call(collect), request).await,
                    }
                }
                "Count" => grpc.server_streaming(Call(|request| count(request, this.begin())), request).await,
                "Chat" => grpc.streaming(Call(|request| chat(request, this.begin())), request).await,
                _ => Status::new(Code::Unimplemented, "no such method").into_http(),
            })
        })
    }
}

/// A method as a function.
struct Call<F>(F);

impl<F, M, N, A> Service<Request<M>> for Call<F>
where
    F: FnMut(Request<M>) -> A,
    A: Future<Output = Result<Response<N>, Status>>,
{
    type Response = Response<N>;
    type Error = Status;
    type Future = A;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<M>) -> A {
        (self.0)(request)
    }
}

/// Gives the note back, and metadata that begin with `x-`. `fail` fails, `hang` never ends.
async fn echo(request: Request<Note>) -> Result<Response<Note>, Status> {
    let metadata = request.metadata().clone();
    match &*request.get_ref().text {
        "fail" => {
            let mut status = Status::with_details(Code::NotFound, "no such ñote", vec![1u8, 2, 3].into());
            status.metadata_mut().insert("x-why", "because".parse().expect("a value"));
            return Err(status);
        }
        "hang" => std::future::pending::<()>().await,
        _ => {}
    }
    let mut response = Response::new(request.into_inner());
    for name in ["x-one", "grpc-timeout"] {
        if let Some(value) = metadata.get(name) {
            response.metadata_mut().insert(name.replace("grpc-", "x-").leak() as &str, value.clone());
        }
    }
    if let Some(value) = metadata.get_bin("x-two-bin") {
        response.metadata_mut().insert_bin("x-two-bin", value.clone());
    }
    Ok(response)
}

async fn collect(request: Request<Streaming<Note>>) -> Result<Response<Note>, Status> {
    let mut notes = request.into_inner();
    let mut all = Note::default();
    while let Some(note) = notes.next().await {
        let note = note?;
        all.text += &note.text;
        all.number += 1;
        all.payload.extend(note.payload);
    }
    Ok(Response::new(all))
}

/// As many notes as asked for; `fail` fails behind them, `hang` never ends.
async fn count(request: Request<Note>, call: UnderWay) -> Result<Response<Notes>, Status> {
    let asked = request.into_inner();
    let (send, notes) = mpsc::channel(1);
    tokio::spawn(async move {
        let _call = call;
        for number in 0..asked.number {
            if send.send(Ok(Note { number, ..asked.clone() })).await.is_err() {
                return;
            }
        }
        match &*asked.text {
            "fail" => drop(send.send(Err(Status::new(Code::DataLoss, "lost"))).await),
            "hang" => send.closed().await,
            _ => {}
        }
    });
    Ok(Response::new(Box::pin(ReceiverStream::new(notes))))
}

/// Answers each note as it comes.
async fn chat(request: Request<Streaming<Note>>, call: UnderWay) -> Result<Response<Notes>, Status> {
    let notes = request.into_inner().map(move |note| {
        let _ = &call;
        note.map(|note| Note { text: format!("re: {}", note.text), ..note })
    });
    Ok(Response::new(Box::pin(notes)))
}

/// The client's side.
pub(crate) struct Client4(tonic::client::Grpc<Channel>);

impl Client4 {
    pub(crate) async fn connect(address: &str) -> Client4 {
        let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
        Client4(tonic::client::Grpc::new(endpoint.connect().await.expect("the gateway listens")))
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.0.ready().await.map_err(|error| Status::unknown(error.to_string()))
    }

    pub(crate) async fn unary(
        &mut self,
        method: &'static str,
        request: Request<Note>,
    ) -> Result<Response<Note>, Status> {
        self.ready().await?;
        let path = http::uri::PathAndQuery::from_static(method);
        self.0.unary(request, path, ProstCodec::<Note, Note>::default()).await
    }

    pub(crate) async fn echo(&mut self, text: &str) -> Result<Response<Note>, Status> {
        self.unary("/test.Notes/Echo", Request::new(note(text))).await
    }

    pub(crate) async fn collect(
        &mut self,
        notes: impl Stream<Item = Note> + Send + 'static,
    ) -> Result<Response<Note>, Status> {
        self.ready().await?;
        let path = http::uri::PathAndQuery::from_static("/test.Notes/Collect");
        self.0.client_streaming(Request::new(notes), path, ProstCodec::<Note, Note>::default()).await
    }

    pub(crate) async fn count(
        &mut self,
        text: &str,
        number: u32,
        payload: usize,
    ) -> Result<Streaming<Note>, Status> {
        self.ready().await?;
        let path = http::uri::PathAndQuery::from_static("/test.Notes/Count");
        let asked = Note { text: text.to_owned(), number, payload: vec![7; payload] };
        let codec = ProstCodec::<Note, Note>::default();
        self.0.server_streaming(Request::new(asked), path, codec).await.map(Response::into_inner)
    }

    pub(crate) async fn chat(&mut self) -> Result<(mpsc::Sender<Note>, Streaming<Note>), Status> {
        self.ready().await?;
        let path = http::uri::PathAndQuery::from_static("/test.Notes/Chat");
        let (send, notes) = mpsc::channel(1);
        let codec = ProstCodec::<Note, Note>::default();
        let request = Request::new(ReceiverStream::new(notes));
        self.0.streaming(request, path, codec).await.map(|response| (send, response.into_inner()))
    }
}
