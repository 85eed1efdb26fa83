//! What every engine does alike.

mod catalog;
mod histories;
mod leases;
mod sessions;

use super::memory::Memory;
use super::*;

/// Runs tests of the suite on each engine. One that is not named here is an unused function.
macro_rules! on_every_engine {
    ($($test:ident)*) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test::<super::Fixture>().await;
                }
            )*
        }
        mod memory {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test::<super::Memory>().await;
                }
            )*
        }
    };
}
use on_every_engine;
