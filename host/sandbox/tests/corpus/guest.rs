//! Makes connectors of a few lines of WebAssembly text, and files that are none.

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// A connector whose manifest is `{}`. Its `probe` runs `body`, which leaves the
/// address of the answer: at 1024 lies the answer "ok, label `me`".
pub(crate) struct Guest {
    items: String,
    realloc: String,
    describe: String,
    body: String,
    memory: String,
    encoding: StringEncoding,
    http: bool,
}

/// What every guest can call. Numbers are addresses, lengths and handles, as the
/// component model lowers them.
const IMPORTS: &str = r#"
  (import "rollout:connector/http@0.1.0" "send-all" (func $send_all (param i32 i32 i32)))
  (import "rollout:connector/credential@0.1.0" "field" (func $field (param i32 i32 i32)))
  (import "rollout:connector/state@0.1.0" "get" (func $state_get (param i32 i32 i32)))
  (import "rollout:connector/state@0.1.0" "set" (func $state_set (param i32 i32 i32 i32 i32 i64 i32)))
  (import "rollout:connector/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (import "wasi:io/poll@0.2.0" "poll" (func $poll (param i32 i32 i32)))
  (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.0" "[resource-drop]pollable" (func $drop_pollable (param i32)))
  (import "wasi:io/streams@0.2.0" "[method]input-stream.read" (func $read (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.write-zeroes" (func $write_zeroes (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.subscribe" (func $subscribe (param i32) (result i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop_output (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $timer (param i64) (result i32)))
  (import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))
  (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
  (import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments (param i32)))
  (import "wasi:cli/environment@0.2.0" "initial-cwd" (func $cwd (param i32)))
  (import "wasi:cli/stdin@0.2.0" "get-stdin" (func $stdin (result i32)))
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
"#;

/// What those can call besides that bring an HTTP library of their own. `$new` makes a
/// request with these headers, `$send` sends it and leaves its future's handle,
/// `$answered` waits for that, `$must` crashes if something is not so.
const HTTP: &str = r#"
  (import "wasi:http/types@0.2.0" "[constructor]fields" (func $fields (result i32)))
  (import "wasi:http/types@0.2.0" "[resource-drop]fields" (func $drop_fields (param i32)))
  (import "wasi:http/types@0.2.0" "[method]fields.append" (func $append (param i32 i32 i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]fields.clone" (func $clone (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[resource-drop]outgoing-request" (func $drop_request (param i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.headers" (func $headers (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.body" (func $body (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-scheme" (func $scheme (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority" (func $authority (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query" (func $path (param i32 i32 i32 i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $stream (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[static]outgoing-body.finish" (func $finish (param i32 i32 i32 i32)))
  (import "wasi:http/types@0.2.0" "[resource-drop]outgoing-body" (func $drop_body (param i32)))
  (import "wasi:http/types@0.2.0" "[method]future-incoming-response.subscribe" (func $future (param i32) (result i32)))
  (import "wasi:http/types@0.2.0" "[method]future-incoming-response.get" (func $get (param i32 i32)))
  (import "wasi:http/types@0.2.0" "[resource-drop]future-incoming-response" (func $drop_future (param i32)))
  (import "wasi:http/outgoing-handler@0.2.0" "handle" (func $handle (param i32 i32 i32 i32)))
"#;

/// See [`HTTP`].
const HTTP_ITEMS: &str = r#"
  (data (i32.const 700) "a.example.com/")
  (func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
  (func $new (param $fields i32) (result i32) (local $new i32)
    (local.set $new (call $request (local.get $fields)))
    (call $must (i32.eqz (call $scheme (local.get $new) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 0))))
    (call $must (i32.eqz (call $authority (local.get $new) (i32.const 1) (i32.const 700) (i32.const 13))))
    (call $must (i32.eqz (call $path (local.get $new) (i32.const 1) (i32.const 713) (i32.const 1))))
    (local.get $new))
  (func $send (param i32) (result i32)
    (call $handle (local.get 0) (i32.const 0) (i32.const 0) (i32.const 2048))
    (call $must (i32.eqz (i32.load8_u (i32.const 2048))))
    (i32.load (i32.const 2056)))
  (func $answered (param i32)
    (call $block (call $future (local.get 0)))
    (call $get (local.get 0) (i32.const 2112))
    (call $must (i32.load8_u (i32.const 2112))))
  ;; The body of a request, at 2080; the stream into it, at 2084.
  (func $open (param i32)
    (call $body (local.get 0) (i32.const 2088))
    (call $must (i32.eqz (i32.load8_u (i32.const 2088))))
    (i32.store (i32.const 2080) (i32.load (i32.const 2092)))
    (call $stream (i32.load (i32.const 2080)) (i32.const 2088))
    (call $must (i32.eqz (i32.load8_u (i32.const 2088))))
    (i32.store (i32.const 2084) (i32.load (i32.const 2092))))
"#;

/// An allocator that takes one place after the other, from 4096 on.
const BUMP: &str = r"
  (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
  (global.set $top (i32.add (local.get $at) (local.get 3)))
  (local.get $at)";

/// A guest that runs this while it proves the credential.
pub(crate) fn probing(body: &str) -> Guest {
    Guest {
        items: String::new(),
        realloc: BUMP.to_owned(),
        describe: String::new(),
        body: body.to_owned(),
        memory: "1".to_owned(),
        encoding: StringEncoding::UTF8,
        http: false,
    }
}

/// One that answers well, if nothing else is wrong with it.
pub(crate) fn answering() -> Guest {
    probing("(i32.const 1024)")
}

impl Guest {
    /// More functions, tables, exports.
    pub(crate) fn items(mut self, items: &str) -> Self {
        items.clone_into(&mut self.items);
        self
    }

    /// What its allocator does instead.
    pub(crate) fn realloc(mut self, body: &str) -> Self {
        body.clone_into(&mut self.realloc);
        self
    }

    /// What it does before it describes itself.
    pub(crate) fn describing(mut self, body: &str) -> Self {
        body.clone_into(&mut self.describe);
        self
    }

    /// The pages that its memory begins with.
    pub(crate) fn pages(mut self, pages: u32) -> Self {
        self.memory = pages.to_string();
        self
    }

    /// Its strings are UTF-16.
    pub(crate) fn utf16(mut self) -> Self {
        self.encoding = StringEncoding::UTF16;
        self
    }

    /// It brings an HTTP library of its own.
    pub(crate) fn calling(mut self) -> Self {
        self.http = true;
        self
    }

    /// The component.
    pub(crate) fn file(&self) -> Vec<u8> {
        let core = self.core();
        let mut resolve = Resolve::default();
        resolve.push_dir("../../wit/connector").unwrap();
        let package = resolve.push_str("world.wit", include_str!("world.wit"));
        let world = resolve.select_world(
            &[package.unwrap()],
            Some(if self.http { "caller" } else { "guest" }),
        );
        let mut module = wat::parse_str(&core).unwrap_or_else(|error| panic!("{error}: {core}"));
        wit_component::embed_component_metadata(
            &mut module,
            &resolve,
            world.unwrap(),
            self.encoding,
        )
        .unwrap();
        let encoded = ComponentEncoder::default()
            .module(&module)
            .and_then(|encoder| encoder.encode());
        encoded.unwrap()
    }

    fn core(&self) -> String {
        let Self {
            items,
            realloc,
            describe,
            body,
            memory,
            ..
        } = self;
        let (http, http_items) = if self.http {
            (HTTP, HTTP_ITEMS)
        } else {
            ("", "")
        };
        // `{}` and `me` are the same text in both encodings, at other places.
        let (manifest, me) = match self.encoding {
            StringEncoding::UTF16 => (r"\20\02\00\00\02\00\00\00", r"\24\02\00\00\02\00\00\00"),
            _ => (r"\00\02\00\00\02\00\00\00", r"\02\02\00\00\02\00\00\00"),
        };
        let zeros = |count: usize| r"\00".repeat(count);
        let answer = [&zeros(8), me, &zeros(12), me, &zeros(20)].concat();
        format!(
            r#"(module {IMPORTS} {http}
              (memory (export "memory") {memory})
              (global $top (mut i32) (i32.const 4096))
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
              (data (i32.const 512) "{{}}me\ff\fe")
              (data (i32.const 544) "{{\00}}\00m\00e\00\00\d8")
              (data (i32.const 600) "{manifest}")
              (data (i32.const 1024) "{answer}")
              (func (export "rollout:connector/manifest@0.1.0#describe") (result i32)
                {describe} (i32.const 600))
              {http_items} {items}
              (func (export "rollout:connector/auth@0.1.0#probe") (result i32) {body}))"#
        )
    }

    /// The component, with another beside it that it knows nothing of: both are
    /// instantiated together.
    pub(crate) fn beside(&self, other: &str) -> Vec<u8> {
        let mut file = self.file();
        let nested = components(&file);
        let other = wat::parse_str(other).unwrap_or_else(|error| panic!("{error}: {other}"));
        section(&mut file, 4, &other);
        // One instance, of a component, without arguments.
        let mut instance = vec![1, 0];
        leb128(&mut instance, nested);
        instance.push(0);
        section(&mut file, 5, &instance);
        file
    }
}

/// Appends a section.
pub(crate) fn section(file: &mut Vec<u8>, id: u8, content: &[u8]) {
    file.push(id);
    leb128(file, content.len());
    file.extend_from_slice(content);
}

/// Appends a number as WebAssembly writes it.
pub(crate) fn leb128(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// How many components lie in a component.
fn components(file: &[u8]) -> usize {
    let (mut at, mut found) = (8, 0);
    while at < file.len() {
        found += usize::from(file[at] == 4);
        at += 1;
        let (mut size, mut shift) = (0, 0);
        loop {
            let byte = file[at];
            at += 1;
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        at += size;
    }
    found
}
