@_exported import DigitLoopCore
import Foundation

#if canImport(CryptoKit) && canImport(CoreML)
    extension LoopServices {
        /// CryptoKit, Core ML and `URLSession`. `folder`: where compiled models are kept, for example in Caches.
        public static func apple(compiled folder: URL, http: any LoopHTTP = LoopURLSession()) -> LoopServices {
            LoopServices(cryptography: CryptoKitCryptography(), models: CoreMLLoader(folder: folder), http: http)
        }
    }
#endif
