@0xe1a4f3c2b5d60798;

struct Entry {
  id @0 :Int64;
  name @1 :Text;
  ok @2 :Bool;
  score @3 :Float64;
}

interface Two {
  three @0 (number :Int64) -> (value :Int64);
}

interface Echoer {
  echo @0 (value :Text) -> (value :Text);
  echoNumber @1 (value :Int64) -> (value :Int64);
  echoLarge @2 (value :Data) -> (value :Data);
  echoEntries @3 (value :List(Entry)) -> (value :List(Entry));
  getTwo @4 () -> (two :Two);
}
