from naive_client import NaiveClient

from pytest_fauxvider.machine import ProviderMachine


class Naive(ProviderMachine):
    provider = "runpod"

    def begin(self):
        self.client = NaiveClient(self.http.client())

    def submit(self, intent):
        return self.client.order(intent.prompt)

    def poll(self, job):
        self.client.poll(job)

    def results(self):
        return self.client.pictures


TestNaive = Naive.TestCase
