//! `wasi:http/outgoing-handler`, for guests that bring an HTTP library of their own,
//! such as JavaScript's `fetch`.
//!
//! It is no second way out. Each request becomes one of the contract's and goes to
//! [`Host::send`]: one body read whole, one answer given back from its bytes. It can't
//! name slots, so it carries what [`Host::placements`] says, and captures nothing. A
//! failure is a bare code for the guest; its reason goes to the log.
//!
//! What WASI's own bookkeeping may hold is bounded here, since a guest can make as
//! many requests, headers and bodies as it may have handles.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body_util::{BodyExt, Full};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use wasmtime::component::{Linker, Resource};
use wasmtime::{Result, StoreContextMut};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler::Host as _;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, HostOutgoingRequest as _, Method};
use wasmtime_wasi_http::p2::bindings::http::{outgoing_handler, types};
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttp, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use crate::contract::http::{self as contract, Failure};
use crate::guest::{Guest, LogBudget};
use crate::limits::Limits;
use crate::{Header, Host, LogLevel};

/// Bytes of one set of headers.
const FIELDS: usize = 16 * 1024;
/// Bytes of a piece of a body; two may wait to be read.
const PIECE: usize = 8 * 1024;
/// Bytes of each other part of a request.
const METHOD: usize = 32;
const AUTHORITY: usize = 1024;
const PATH: usize = 16 * 1024;

/// Why no request leaves any more.
const USED_UP: &str = "the call's budget of requests is used up";

/// The interfaces as they are linked; a component may import any 0.2.
const TYPES: &str = "wasi:http/types@0.2.12";
/// See [`TYPES`].
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

/// A request under way, its answer's way included.
type Exchange = Pin<Box<dyn Future<Output = ()> + Send>>;
type Worker = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(::http::Response<WasiBody>, Worker), Error>;

/// Links the interfaces.
pub(crate) fn link(linker: &mut Linker<Guest>) -> Result<()> {
    outgoing_handler::add_to_linker::<Guest, WasiHttp>(linker, Guest::http)?;
    let options = types::LinkOptions::default();
    types::add_to_linker::<Guest, WasiHttp>(linker, &options, Guest::http)?;
    bound(linker)
}

/// Bounds the parts of a request, which WASI's implementation keeps at any length: a
/// longer one is refused as if it were malformed. And bounds the requests, each of which
/// is a task of the host, even if the guest drops it at once.
fn bound(linker: &mut Linker<Guest>) -> Result<()> {
    type Store<'a> = StoreContextMut<'a, Guest>;
    type Request = Resource<HostOutgoingRequest>;
    type Text = Option<String>;
    type Options = Option<Resource<types::RequestOptions>>;
    type Awaited = Resource<HostFutureIncomingResponse>;
    fn fits(text: &Text, limit: usize) -> bool {
        text.as_ref().is_none_or(|text| text.len() <= limit)
    }
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: Store<'_>, (request, method): (Request, Method)| match &method {
            Method::Other(name) if name.len() > METHOD => Ok((Err(()),)),
            _ => Ok((store.data_mut().http().set_method(request, method)?,)),
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: Store<'_>, (request, authority): (Request, Text)| {
            if !fits(&authority, AUTHORITY) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_authority(request, authority)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store: Store<'_>, (request, path): (Request, Text)| {
            if !fits(&path, PATH) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_path_with_query(request, path)?,))
        },
    )?;
    linker.instance(HANDLER)?.func_wrap(
        "handle",
        |mut store: Store<'_>, (request, options): (Request, Options)| {
            let guest = store.data_mut();
            if !guest.outgoing().begin() {
                guest.http().table.delete(request)?;
                return Ok((Err(ErrorCode::ConnectionLimitReached),));
            }
            match guest.http().handle(request, options) {
                Ok(future) => Ok((Ok::<Awaited, _>(future),)),
                Err(error) => Ok((Err(error.downcast()?),)),
            }
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The guest's side: where its requests begin.
pub(crate) struct Outgoing {
    ctx: WasiHttpCtx,
    hooks: Hooks,
    /// How many requests it may still begin.
    left: usize,
}

/// The call's side: its requests under way.
///
/// They run within the call's own future. So its limits hold for them, and with its
/// end no request can leave any more.
pub(crate) struct Exchanges {
    begun: mpsc::Receiver<Exchange>,
}

struct Hooks {
    outside: Outside,
    begun: mpsc::Sender<Exchange>,
}

/// What an exchange needs.
#[derive(Clone)]
struct Outside {
    host: Arc<dyn Host>,
    log: LogBudget,
    /// A permit for each byte of the bodies under way.
    room: Arc<Semaphore>,
    limit: usize,
}

/// The two sides of one call.
pub(crate) fn outgoing(
    host: Arc<dyn Host>,
    log: LogBudget,
    limits: &Limits,
) -> (Outgoing, Exchanges) {
    // A request under way has a handle, so there is always room.
    let (begin, begun) = mpsc::channel(limits.handles.max(1));
    let mut ctx = WasiHttpCtx::new();
    ctx.set_field_size_limit(FIELDS);
    let left = host.requests_left();
    let limit = limits.host_call_bytes.min(Semaphore::MAX_PERMITS);
    let outside = Outside {
        host,
        log,
        room: Arc::new(Semaphore::new(limit)),
        limit,
    };
    let hooks = Hooks {
        outside,
        begun: begin,
    };
    (Outgoing { ctx, hooks, left }, Exchanges { begun })
}

impl Outgoing {
    /// Draws a request. False: the call has made as many as it may.
    fn begin(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        match left {
            Some(left) => self.left = left,
            None => self.hooks.outside.say(USED_UP),
        }
        left.is_some()
    }

    /// WASI's implementation, as it wants to be called.
    pub(crate) fn view<'a>(
        &'a mut self,
        table: &'a mut wasmtime::component::ResourceTable,
    ) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView {
            ctx: &mut self.ctx,
            table,
            hooks: &mut self.hooks,
        }
    }
}

impl Exchanges {
    /// Carries the requests on until the call is over.
    pub(crate) async fn beside<T>(mut self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let mut under_way = FuturesUnordered::new();
        // The guest has one turn each time, however many requests it begins in it: else
        // it would not let go of the thread.
        poll_fn(|cx| {
            if let Poll::Ready(result) = call.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            while let Poll::Ready(Some(exchange)) = self.begun.poll_recv(cx) {
                under_way.push(exchange);
            }
            while let Poll::Ready(Some(())) = under_way.poll_next_unpin(cx) {}
            Poll::Pending
        })
        .await
    }
}

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        request: ::http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Worker,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let (mut answer, answered) = oneshot::channel();
        let exchange = self.outside.clone().exchange(request, options);
        let begun = self.begun.try_send(Box::pin(async move {
            tokio::select! {
                // The guest dropped the request.
                () = answer.closed() => {}
                result = exchange => {
                    let _ = answer.send(result);
                }
            }
        }));
        let begun = begun.map_err(|_| Error::ConnectionLimitReached);
        Box::new(async move {
            begun?;
            answered.await.map_err(|_| Error::ConnectionTerminated)?
        })
    }

    /// The host writes it, from the URL.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        PIECE
    }
}

impl Outside {
    async fn exchange(
        self,
        request: ::http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Answer {
        let (head, body) = request.into_parts();
        let (body, _held) = self.whole(body).await?;
        let url = head.uri.to_string();
        let request = contract::Request {
            method: head.method.as_str().to_owned(),
            headers: self.headers(&head.headers)?,
            body: (!body.is_empty()).then_some(body),
            authenticate: false,
            secrets: self.host.placements(&url),
            capture: Vec::new(),
            timeout_ms: options.and_then(timeout),
            max_bytes: None,
            extra: None,
            url,
        };
        let sent = self.host.send(request).await;
        let response = sent.map_err(|failure| self.failed(failure))?;
        let mut answer = ::http::Response::builder().status(response.status);
        for Header { name, value } in response.headers {
            answer = answer.header(name, value.into_bytes());
        }
        let body = Full::new(Bytes::from(response.body));
        let answer = answer.body(body.map_err(Error::from).boxed_unsync());
        let answer = answer.map_err(|_| Error::HttpProtocolError)?;
        Ok((answer, Box::new(async { Ok(()) })))
    }

    /// A body as it was streamed, and the room that it takes.
    async fn whole(
        &self,
        mut body: WasiBody,
    ) -> Result<(Vec<u8>, Vec<OwnedSemaphorePermit>), Error> {
        let (mut bytes, mut held) = (Vec::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
                    let room = self.room.clone().try_acquire_many_owned(length);
                    let Ok(room) = room else {
                        let limit = self.limit;
                        self.say(&format!(
                            "the bodies of its requests together are larger than {limit} bytes"
                        ));
                        return Err(Error::HttpRequestBodySize(u64::try_from(limit).ok()));
                    };
                    held.push(room);
                    bytes.extend_from_slice(&data);
                }
                Err(frame) if frame.trailers_ref().is_some_and(|t| !t.is_empty()) => {
                    self.say("it has trailers, which are not sent");
                    return Err(Error::HttpRequestTrailerSectionSize(Some(0)));
                }
                Err(_) => {}
            }
        }
        Ok((bytes, held))
    }

    /// The headers, without the one that the host writes itself and that WASI's
    /// implementation has compared with the body.
    fn headers(&self, headers: &::http::HeaderMap) -> Result<Vec<Header>, Error> {
        let kept = headers
            .iter()
            .filter(|(name, _)| **name != ::http::header::CONTENT_LENGTH);
        kept.map(|(name, value)| {
            let value = str::from_utf8(value.as_bytes()).map_err(|_| {
                self.say(&format!("the value of header `{name}` is not UTF-8"));
                Error::HttpRequestDenied
            })?;
            Ok(Header {
                name: name.as_str().to_owned(),
                value: value.to_owned(),
            })
        })
        .collect()
    }

    fn failed(&self, failure: Failure) -> Error {
        let (code, reason) = match failure {
            Failure::Denied(reason) => (Error::HttpRequestDenied, reason),
            Failure::Connection(reason) => (Error::ConnectionTerminated, reason),
            Failure::Timeout => (
                Error::HttpResponseTimeout,
                "the app did not answer in time".to_owned(),
            ),
            Failure::TooLarge(bytes) => (
                Error::HttpResponseBodySize(Some(bytes)),
                format!("the app's answer is larger than {bytes} bytes"),
            ),
            Failure::Budget(_) => (Error::ConnectionLimitReached, USED_UP.to_owned()),
        };
        self.say(&reason);
        code
    }

    /// Tells the operator what WASI's codes can't tell the guest.
    fn say(&self, reason: &str) {
        let line = format!("a request by wasi:http failed: {reason}");
        self.log.write(LogLevel::Warn, &line);
    }
}

/// How long the answer may take: it comes as a whole, so its first byte is its last.
fn timeout(options: RequestOptions) -> Option<u32> {
    let first_byte = options.first_byte_timeout?;
    let all = first_byte + options.connect_timeout.unwrap_or(Duration::ZERO);
    Some(u32::try_from(all.as_millis()).unwrap_or(u32::MAX))
}
