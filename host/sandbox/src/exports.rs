//! The interfaces that connectors export, one line each.

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::component::LoadError;
use crate::contract::exports;
use crate::guest::{Guest, PACKAGE, VERSION};

/// An interface of which a component's pre-linked form is known.
pub(crate) trait Found {
    /// Which one.
    const INTERFACE: Interface;
    /// Its functions in one instance.
    type Guest;

    /// Looks the functions up, and compares their types.
    fn load(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<Self::Guest>;
}

macro_rules! interfaces {
    (
        required { $($(#[$required_doc:meta])* $required:ident $needed:ident,)+ }
        optional { $($(#[$optional_doc:meta])* $optional:ident $free:ident,)+ }
    ) => {
        /// The interfaces that a connector may export.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Interface {
            $($(#[$required_doc])* $required,)+
            $($(#[$optional_doc])* $optional,)+
        }

        impl Interface {
            /// All of them, in the contract's order.
            pub const ALL: &[Self] = &[$(Self::$required,)+ $(Self::$optional,)+];
            /// Those that every connector exports.
            pub(crate) const REQUIRED: &[Self] = &[$(Self::$required,)+];

            /// The interface's name in the contract.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$required => stringify!($needed),)+
                    $(Self::$optional => stringify!($free),)+
                }
            }
        }

        /// What a component exports.
        pub(crate) struct Exports {
            $(pub(crate) $needed: Option<exports::$needed::GuestIndices>,)+
            $(pub(crate) $free: Option<exports::$free::GuestIndices>,)+
        }

        impl Exports {
            /// Finds the interfaces in a linked component.
            pub(crate) fn of(pre: &InstancePre<Guest>) -> Result<Self, LoadError> {
                Ok(Self {
                    $($needed: exported(pre, Interface::$required, exports::$needed::GuestIndices::new)?,)+
                    $($free: exported(pre, Interface::$optional, exports::$free::GuestIndices::new)?,)+
                })
            }

            /// True if the component exports the interface.
            pub(crate) fn has(&self, interface: Interface) -> bool {
                match interface {
                    $(Interface::$required => self.$needed.is_some(),)+
                    $(Interface::$optional => self.$free.is_some(),)+
                }
            }

            /// Compares the types of everything that is exported with the contract's:
            /// that is only done when an interface is loaded from an instance.
            pub(crate) fn check(
                &self,
                store: &mut Store<Guest>,
                instance: &Instance,
            ) -> wasmtime::Result<()> {
                $(if let Some(found) = &self.$needed {
                    found.load(&mut *store, instance)?;
                })+
                $(if let Some(found) = &self.$free {
                    found.load(&mut *store, instance)?;
                })+
                Ok(())
            }
        }

        $(interfaces!(@found $required $needed);)+
        $(interfaces!(@found $optional $free);)+
    };
    (@found $name:ident $module:ident) => {
        impl Found for exports::$module::GuestIndices {
            const INTERFACE: Interface = Interface::$name;
            type Guest = exports::$module::Guest;

            fn load(
                &self,
                store: &mut Store<Guest>,
                instance: &Instance,
            ) -> wasmtime::Result<Self::Guest> {
                Self::load(self, store, instance)
            }
        }
    };
}

interfaces! {
    required {
        /// What the connector says of itself.
        Manifest manifest,
        /// Proof that a credential works.
        Auth auth,
    }
    optional {
        /// Signing in.
        Login login,
        /// Records.
        Entities entities,
        /// The app's own webhooks.
        Hooks hooks,
        /// Events found by polling.
        Triggers triggers,
        /// What can be done in the app.
        Actions actions,
        /// Choices and schemas that depend on the account.
        Forms forms,
    }
}

/// The name of an interface as components export it.
pub(crate) fn full_name(interface: &str) -> String {
    format!("{PACKAGE}/{interface}@{VERSION}")
}

fn exported<I>(
    pre: &InstancePre<Guest>,
    interface: Interface,
    indices: impl FnOnce(&InstancePre<Guest>) -> wasmtime::Result<I>,
) -> Result<Option<I>, LoadError> {
    let name = full_name(interface.as_str());
    match pre.component().get_export_index(None, &name) {
        None => Ok(None),
        Some(_) => indices(pre)
            .map(Some)
            .map_err(|error| LoadError::wrong_type(format!("export `{name}`"), &error)),
    }
}
