// The part of Core ML that DigitLoop uses, declared as Apple documents it for iOS 15; for type-checking on Linux only.
@_exported import CoreVideo
import Foundation

public enum MLComputeUnits: Int, Sendable { case cpuOnly, cpuAndGPU, all }
public enum MLFeatureType: Int, Sendable { case invalid, int64, double, string, image, multiArray, dictionary, sequence }
public enum MLMultiArrayDataType: Int, Sendable { case double, float32, int32 }
public struct MLModelMetadataKey: Hashable, Sendable { public static let creatorDefinedKey = MLModelMetadataKey() }

public class MLModelConfiguration: NSObject { public var computeUnits: MLComputeUnits = .all }
public class MLFeatureDescription: NSObject { public var type: MLFeatureType { fatalError("declared only") } }
public class MLModelDescription: NSObject {
    public var inputDescriptionsByName: [String: MLFeatureDescription] { fatalError("declared only") }
    public var predictedProbabilitiesName: String? { fatalError("declared only") }
    public var metadata: [MLModelMetadataKey: Any] { fatalError("declared only") }
}

public class MLMultiArray: NSObject {
    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws { fatalError("declared only") }
    public subscript(_ i: Int) -> NSNumber {
        get { fatalError("declared only") }
        set { fatalError("declared only") }
    }
}

public class MLFeatureValue: NSObject {
    public convenience init(pixelBuffer: CVPixelBuffer) { fatalError("declared only") }
    public convenience init(multiArray: MLMultiArray) { fatalError("declared only") }
    public var dictionaryValue: [AnyHashable: NSNumber] { fatalError("declared only") }
}

public protocol MLFeatureProvider { func featureValue(for name: String) -> MLFeatureValue? }
public class MLDictionaryFeatureProvider: NSObject, MLFeatureProvider {
    public init(dictionary: [String: Any]) throws { fatalError("declared only") }
    public func featureValue(for name: String) -> MLFeatureValue? { fatalError("declared only") }
}

public class MLModel: NSObject {
    public var modelDescription: MLModelDescription { fatalError("declared only") }
    public class func load(
        contentsOf url: URL, configuration: MLModelConfiguration = MLModelConfiguration()
    ) async throws -> MLModel { fatalError("declared only") }
    public class func compileModel(at url: URL) throws -> URL { fatalError("declared only") }
    public func prediction(from input: any MLFeatureProvider) throws -> any MLFeatureProvider { fatalError("declared only") }
}
