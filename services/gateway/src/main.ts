import { mainOf } from "@longhaul/shared";
import { wireGateway } from "./wire.ts";

await mainOf("gateway", wireGateway);
