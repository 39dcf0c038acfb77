import BerthJSON
import BerthQAPI
import Testing

@testable import BerthServer

@Suite struct HMPObjectTests {
    private let script = HMPScript()

    @Test(arguments: [
        "memory-backend-ram,id=m1,size=1M,share=on,host-nodes.0=1,host-nodes.1=2",
        "qom-type=memory-backend-ram,size=9,size=1048576,id=m1,share=true,host-nodes.1=2,"
            + "host-nodes.0=1,",
        #"{"qom-type":"memory-backend-ram","id":"m1","size":1048576,"share":true,"#
            + #""host-nodes":[1,2]}"#,
    ])
    func `creates an object in each of its spellings`(text: String) async {
        #expect(await script.output("object_add " + text) == "")
        let properties = MemoryBackendProperties(hostNodes: [1, 2], share: true, size: 1 << 20)
        #expect(
            script.commands
                == [.objectAdd(ObjectOptions(id: "m1", variant: .memoryBackendRAM(properties)))]
        )
    }

    @Test(arguments: [
        ("foo", "Error: Parameter 'qom-type' does not accept value 'foo'"),
        ("memory-backend-ram,size=1M", "Error: Parameter 'id' is missing"),
        ("memory-backend-ram,id=m,size=1M,bogus=1", "Error: Parameter 'bogus' is unexpected"),
        ("memory-backend-ram,id=m,share", "Error: Expected '=' after parameter 'share'"),
        ("memory-backend-ram,id=m,size=abc", "Error: Parameter 'size' expects"),
        ("memory-backend-ram,,id=m", "Error: Parameter 'qom-type' does not accept value"),
        ("a=1,a.b=2", "Error: Parameters 'a.b' used inconsistently"),
        ("a.b=1,a=2", "Error: Parameters 'a.*' used inconsistently"),
        ("a.0=1,a.b=2", "Error: Parameters 'a.*' used inconsistently"),
        ("a.0=1,a.2=2", "Error: Parameter 'a.1' missing"),
        ("a..b=1", "Error: Invalid parameter 'a..b'"),
        ("{\"a\"", "Error: "),
        ("[]", "Error: Parameter"),
    ])
    func `says what is wrong with a description`(text: String, expected: String) async {
        let output = await script.output("object_add " + text)
        #expect(output.hasPrefix(expected), "\(output)")
        #expect(script.commands == [])
    }

    @Test func `reads doubled commas as commas`() throws {
        let object = try KeyValueText.parse("t,path=/a,,b,c=,,", impliedKey: "type")
        #expect(object == ["type": "t", "path": "/a,b", "c": ","])
    }

    @Test func `refuses keys that nest without end`() {
        let key = String(repeating: "a.", count: 5000) + "a"
        #expect(throws: QMPError.self) { try KeyValueText.parse(key + "=1") }
    }

    @Test(arguments: [
        ([UInt16](), ""), ([3], "3"), ([1, 0, 2, 7, 7], "0-2,7"), ([65535, 65534], "65534-65535"),
    ])
    func `writes lists of numbers as ranges`(numbers: [UInt16], expected: String) {
        #expect(NumberRanges.text(numbers) == expected)
    }
}
